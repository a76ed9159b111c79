//! Records of many logs, one after the other by the time they were written. Of each log that is open no
//! more than one record is held, and a log is opened when it is its turn: a folder of a busy week is
//! read in little memory, and its first record is told at once.

use super::source::began;
use sandboxd_audit::AuditError;
use sandboxd_audit::line::Line;
use sandboxd_audit::read::{Piece, Pieces};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};

/// A file with records, and from where on it is read.
pub(super) struct Part {
    /// Its log, whose name begins with when it was begun.
    pub(super) log: String,
    pub(super) segment: u32,
    pub(super) from: u64,
}

/// Opens a part; nothing where it need not be read.
type Open<'a> = &'a dyn Fn(&Part) -> Result<Option<BufReader<File>>, AuditError>;

/// The parts of one log, in order.
struct Stream {
    parts: VecDeque<Part>,
    pieces: Option<Pieces<BufReader<File>>>,
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Seen {
    /// Where it ends, of each part.
    pub(super) ends: BTreeMap<(String, u32), u64>,
    /// How often something stood before a record that is none. At the end of a part it may be half written.
    pub(super) damaged: u64,
}

/// Tells every record, until `told` says that it wants no more. Where each part ends goes to `seen`.
pub(super) fn each(
    parts: Vec<Part>,
    open: Open<'_>,
    seen: &mut Seen,
    told: &mut dyn FnMut(&Line) -> bool,
) -> Result<bool, AuditError> {
    let mut waiting = by_log(parts);
    let mut streams: Vec<Stream> = Vec::new();
    // The next record of each open log. Two of one moment: that of the log that was begun first.
    let mut heads: BTreeMap<(String, usize), Line> = BTreeMap::new();
    loop {
        while waiting.front().is_some_and(|(began, _)| {
            heads.first_key_value().is_none_or(|((ts, _), _)| began <= ts)
        }) {
            let Some((_, parts)) = waiting.pop_front() else { break };
            let mut stream = Stream { parts, pieces: None };
            if let Some(line) = stream.next(open, seen)? {
                heads.insert((line.ts.clone(), streams.len()), line);
                streams.push(stream);
            }
        }
        let Some(((_, number), line)) = heads.pop_first() else { return Ok(true) };
        if !told(&line) {
            return Ok(false);
        }
        if let Some(stream) = streams.get_mut(number)
            && let Some(line) = stream.next(open, seen)?
        {
            heads.insert((line.ts.clone(), number), line);
        }
    }
}

/// The parts of each log, by when the log was begun.
fn by_log(parts: Vec<Part>) -> VecDeque<(String, VecDeque<Part>)> {
    let mut logs: BTreeMap<(String, String), VecDeque<Part>> = BTreeMap::new();
    for part in parts {
        logs.entry((began(&part.log), part.log.clone())).or_default().push_back(part);
    }
    logs.into_iter().map(|((began, _), parts)| (began, parts)).collect()
}

impl Stream {
    /// The next record. What is none is counted; what it was is for `verify` to tell.
    fn next(&mut self, open: Open<'_>, seen: &mut Seen) -> Result<Option<Line>, AuditError> {
        while let Some(part) = self.parts.front() {
            let pieces = match &mut self.pieces {
                Some(pieces) => pieces,
                None => match begin(part, open)? {
                    Some(pieces) => self.pieces.insert(pieces),
                    None => {
                        self.parts.pop_front();
                        continue;
                    }
                },
            };
            let mut bad = 0;
            for piece in pieces.by_ref() {
                match piece.map_err(|error| unreadable(part, &error))? {
                    Piece::Bad { .. } => bad += 1,
                    Piece::Record(line) => {
                        let end = part.from + pieces.offset();
                        seen.ends.insert((part.log.clone(), part.segment), end);
                        seen.damaged += bad;
                        return Ok(Some(*line));
                    }
                }
            }
            self.pieces = None;
            self.parts.pop_front();
        }
        Ok(None)
    }
}

fn begin(part: &Part, open: Open<'_>) -> Result<Option<Pieces<BufReader<File>>>, AuditError> {
    let Some(mut file) = open(part)? else { return Ok(None) };
    file.seek(SeekFrom::Start(part.from)).map_err(|error| unreadable(part, &error))?;
    Ok(Some(Pieces::new(file)))
}

fn unreadable(part: &Part, error: &std::io::Error) -> AuditError {
    AuditError {
        call: "read",
        subject: part.log.clone(),
        errno: error.raw_os_error().unwrap_or(0),
        remedy: String::from("check the kernel's log (dmesg)"),
    }
}
