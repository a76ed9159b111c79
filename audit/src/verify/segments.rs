//! One log, through its segments.

use super::{Report, What};
use crate::chain::Hash;
use crate::error::AuditError;
use crate::line::Line;
use crate::merkle::Tree;
use crate::note::Note;
use crate::read::{Piece, Pieces};
use crate::record::Kind;
use crate::segment::{Checkpoint, Gap, Header, Rotated, origin};
use std::io::BufRead;

/// Where a log has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) records: u64,
    pub(super) last: Hash,
}

/// Bytes that are no record, since the last that was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bad {
    offset: u64,
    bytes: u64,
}

/// What is known of a log so far.
pub(super) struct Segments<'k> {
    log: String,
    /// The record that has to come next; nothing before the first of a file that is looked at alone.
    next: Option<u64>,
    /// The hash of the record before.
    last: Option<Hash>,
    /// The segment's tree; nothing where too many records are lost to know their hashes.
    tree: Option<Tree>,
    /// The key of the segment: as announced, then as its header has it.
    key: Option<String>,
    /// The key that the next segment was announced with.
    following: Option<String>,
    number: u32,
    file: String,
    bad: Option<Bad>,
    /// Where the last record ended.
    end_of_last: u64,
    /// Checkpoints that were kept elsewhere, and those that are borne out.
    kept: &'k [Note],
    borne_out: Vec<Note>,
}

impl<'k> Segments<'k> {
    /// A log whose beginning is known from the index.
    pub(super) fn of(log: &str, first: Hash, key: String, kept: &'k [Note]) -> Self {
        let mut segments = Self::alone(log, kept);
        segments.next = Some(0);
        segments.last = Some(first);
        segments.following = Some(key);
        segments
    }

    /// A segment of which nothing else is known.
    pub(super) fn alone(log: &str, kept: &'k [Note]) -> Self {
        Self {
            log: log.to_owned(),
            next: None,
            last: None,
            tree: None,
            key: None,
            following: None,
            number: 0,
            file: String::new(),
            bad: None,
            end_of_last: 0,
            kept,
            borne_out: Vec::new(),
        }
    }

    /// Another file of the index follows: it numbers its records anew.
    pub(super) fn begin_file(&mut self) {
        self.next = Some(0);
    }

    /// What comes first is not there any more, and nobody knows what it was.
    pub(super) fn begin_anywhere(&mut self) {
        (self.next, self.last, self.following) = (None, None, None);
    }

    /// Goes through the next segment.
    pub(super) fn segment(
        &mut self,
        file: &str,
        mut pieces: Pieces<impl BufRead>,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        file.clone_into(&mut self.file);
        self.number = crate::segment::of_file(file.rsplit('/').next().unwrap_or(file))
            .map_or(0, |(_, number)| number);
        self.tree = Some(Tree::default());
        self.key = self.following.take();
        self.end_of_last = 0;
        while let Some(piece) = pieces.next() {
            match piece.map_err(|error| AuditError::io("read", file, &error))? {
                Piece::Bad { offset, bytes } => {
                    let bad = self.bad.get_or_insert(Bad { offset, bytes: 0 });
                    bad.bytes += bytes;
                }
                Piece::Record(line) => self.record(&line, report),
            }
            self.end_of_last = pieces.offset();
        }
        Ok(())
    }

    /// The end of what is there.
    pub(super) fn end(&mut self, end: Option<End>, report: &mut Report) {
        let next = self.next.unwrap_or(0);
        let missing = end.is_some_and(|end| end.records > next);
        if self.bad.is_some() || missing {
            let last = end.filter(|_| missing).map(|end| end.records - 1);
            if end.is_some() && !missing {
                self.foreign(report);
            } else {
                self.lost(next, last, report);
            }
        } else if let Some(end) = end
            && (end.records < next || (next > 0 && self.last.is_some_and(|last| last != end.last)))
        {
            report.found(&self.log, What::OtherEnd);
        }
    }

    /// The end of what is there so far: the last record may be half written.
    pub(super) fn end_for_now(&mut self) {
        self.bad = None;
    }

    /// Whether a checkpoint that was kept is about these records.
    pub(super) fn bore_out(&self, note: &Note) -> bool {
        self.borne_out.contains(note)
    }

    fn record(&mut self, line: &Line, report: &mut Report) {
        // The first record of a log has a number that is known. Before the first of any other segment
        // that is looked at alone, bytes that are none were one at least.
        let next = self.next.unwrap_or(match (self.number, self.bad) {
            (0, _) => 0,
            (_, Some(_)) => line.seq.saturating_sub(1),
            (_, None) => line.seq,
        });
        if line.seq < next {
            let file = self.file.clone();
            report.found(&self.log, What::OutOfOrder { seq: line.seq, file });
            return;
        }
        if line.seq > next {
            self.lost(next, Some(line.seq - 1), report);
            // The next record tells the hash of a single one that is lost.
            match (&mut self.tree, line.seq - next) {
                (Some(tree), 1) => tree.push(line.prev()),
                _ => self.tree = None,
            }
        } else {
            if self.last.is_some_and(|last| last != line.prev()) {
                report.found(&self.log, What::Unlinked { seq: line.seq });
            }
            if self.bad.is_some() {
                self.foreign(report);
            }
        }
        report.records += 1;
        self.own(line, report);
        if let Some(tree) = &mut self.tree {
            tree.push(line.hash());
        }
        self.compare_kept(report);
        self.last = Some(line.hash());
        self.next = Some(line.seq + 1);
    }

    /// What the log says of itself.
    fn own(&mut self, line: &Line, report: &mut Report) {
        if line.kind == Kind::Header.name() {
            self.header(line, report);
        } else if line.kind == Kind::Checkpoint.name() {
            self.checkpoint(line, report);
        } else if line.kind == Kind::Rotated.name() {
            self.following = line.detail::<Rotated>().map(|rotated| rotated.key);
        } else if line.kind == Kind::Gap.name() {
            report.unwritten += line.detail::<Gap>().map_or(0, |gap| gap.records);
        }
    }

    fn header(&mut self, line: &Line, report: &mut Report) {
        let header = line.detail::<Header>();
        let fits = header.as_ref().is_some_and(|header| {
            header.log == self.log
                && header.segment == self.number
                && self.key.as_ref().is_none_or(|key| *key == header.key)
        });
        if !fits {
            report.found(&self.log, What::Exchanged { file: self.file.clone() });
        }
        // What was announced stands; a segment by itself is measured by its own words.
        self.key = self.key.take().or(header.map(|header| header.key));
    }

    fn checkpoint(&self, line: &Line, report: &mut Report) {
        let note = line.detail::<Checkpoint>().and_then(|told| Note::parse(&told.note));
        let why = match (note, &self.tree, &self.key) {
            (None, _, _) => Some("is not a signed note"),
            // What cannot be compared is no proof, and no trouble beyond the records that are lost.
            (Some(_), None, _) | (Some(_), _, None) => return,
            (Some(note), Some(tree), Some(key)) => {
                if note.origin != origin(&self.log, self.number) || note.size != tree.size() {
                    Some("covers another segment or another number of records")
                } else if note.root != tree.root() {
                    Some("covers other records than these")
                } else if !note.is_signed_by(key) {
                    Some("is not signed by the key of its segment")
                } else {
                    report.checkpoints += 1;
                    None
                }
            }
        };
        match (why, &self.tree) {
            (Some(why), _) => report.found(&self.log, What::Unproven { seq: line.seq, why }),
            (None, Some(tree)) => report.sign(&self.log, self.number, tree.size()),
            (None, None) => {}
        }
    }

    /// Compares the tree with what was kept elsewhere about as many records.
    fn compare_kept(&mut self, report: &mut Report) {
        let (Some(tree), own) = (&self.tree, origin(&self.log, self.number)) else { return };
        let about = |note: &&Note| note.origin == own && note.size == tree.size();
        for note in self.kept.iter().filter(about) {
            let signed = self.key.as_ref().is_some_and(|key| note.is_signed_by(key));
            let why = match (note.root == tree.root(), signed) {
                (true, true) => {
                    report.borne_out += 1;
                    None
                }
                (false, _) => Some("covers other records than these"),
                (true, false) => Some("is signed by another key"),
            };
            if let Some(why) = why {
                report.found(&self.log, What::Contradicted { size: note.size, why });
            }
            self.borne_out.push(note.clone());
        }
    }

    fn lost(&mut self, first: u64, last: Option<u64>, report: &mut Report) {
        let bad = self.bad.take().unwrap_or(Bad { offset: self.end_of_last, bytes: 0 });
        let (file, offset, bytes) = (self.file.clone(), bad.offset, bad.bytes);
        report.found(&self.log, What::Lost { first, last, file, offset, bytes });
    }

    fn foreign(&mut self, report: &mut Report) {
        if let Some(Bad { offset, bytes }) = self.bad.take() {
            report.found(&self.log, What::Foreign { file: self.file.clone(), offset, bytes });
        }
    }
}

impl Report {
    /// A checkpoint of a segment is about all records before it, which the ones before were too.
    fn sign(&mut self, log: &str, segment: u32, size: u64) {
        let own = (log.to_owned(), segment);
        match &mut self.last_signed {
            Some((of, before)) if *of == own => {
                self.signed += size - *before;
                *before = size;
            }
            last => {
                self.signed += size;
                *last = Some((own, size));
            }
        }
    }
}
