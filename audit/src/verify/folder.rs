//! A folder of logs: the index, and what it says there should be.

use super::kept::Absent;
use super::segments::{End, Segments};
use super::{Report, What};
use crate::chain::Hash;
use crate::error::AuditError;
use crate::files::Appended;
use crate::folder::{Folder, LIVE};
use crate::index::{self, Begun, Closed, Opened, Removed};
use crate::line::Line;
use crate::note::Note;
use crate::read::{self, Piece, Pieces, Place};
use crate::record::Kind;
use crate::segment::file_name;
use crate::time::Stamp;
use rustix::fs::OFlags;
use std::collections::{BTreeMap, BTreeSet};

/// What messages call the index.
const INDEX: &str = "index";

/// What the index says of all logs.
#[derive(Default)]
pub(super) struct Known {
    /// By name: the hash of the entry that began it, its key, and its end.
    logs: BTreeMap<String, Entry>,
    /// Days that were removed, and when.
    removed: BTreeMap<String, String>,
    /// Files of the index that were removed, and the hash of their last record.
    removed_index: BTreeMap<String, Option<String>>,
}

struct Entry {
    /// What its first record follows, and its key; nothing where that file of the index was removed.
    began: Option<(Hash, String)>,
    closed: Option<(Closed, bool)>,
}

/// Reads everything in a folder of logs: the index first, then each log that it names. By `now` it is known what
/// may have been removed by rule.
///
/// # Errors
/// Where something in it cannot be read.
pub fn folder(folder: &Folder, kept: &[Note], now: Stamp) -> Result<Report, AuditError> {
    let mut report = Report::default();
    // Before the index, so that a log that is begun meanwhile is in it and not missed here.
    let before = read::places(folder)?;
    read::has_any(folder)?;
    let known = read_index(folder, &mut report)?;
    let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    let mut there = read::places(folder)?;
    // One that was moved meanwhile is where it is now.
    there.retain(|place| known.logs.contains_key(&place.log) || before.contains(place));
    for place in there {
        places.entry(place.log.clone()).or_default().push(place);
    }
    let mut borne_out = BTreeSet::new();
    let names: BTreeSet<&String> = known.logs.keys().chain(places.keys()).collect();
    for name in names {
        let there = places.get(name).map_or(&[][..], Vec::as_slice);
        let entry = known.logs.get(name);
        if there.is_empty() {
            absent(name, entry, &known, &mut report);
            continue;
        }
        report.logs += 1;
        let mut segments = match entry.and_then(|entry| entry.began.clone()) {
            Some((first, key)) => Segments::of(name, first, key, kept),
            None => Segments::alone(name, kept),
        };
        if entry.is_none() {
            report.found(name, What::Unknown);
        }
        one(folder, there, entry, &known, &mut segments, &mut report)?;
        let about = kept.iter().enumerate().filter(|(_, note)| segments.bore_out(note));
        borne_out.extend(about.map(|(number, _)| number));
    }
    let rest = kept.iter().enumerate().filter(|(number, _)| !borne_out.contains(number));
    let rest: Vec<&Note> = rest.map(|(_, note)| note).collect();
    Absent { folder, known: &known, places: &places, now }.tell(&rest, &mut report)?;
    Ok(report)
}

/// A log that the index names and that is not there.
fn absent(name: &str, entry: Option<&Entry>, known: &Known, report: &mut Report) {
    let closed = entry.and_then(|entry| entry.closed.as_ref());
    match closed {
        Some((closed, _)) if known.removed.contains_key(&closed.day) => {}
        // Killed between its entry and its first record.
        Some((closed, _)) if closed.records == 0 => {}
        closed => {
            report.found(name, What::Gone { records: closed.map(|(closed, _)| closed.records) });
        }
    }
}

/// One log, through the segments that are there.
fn one(
    folder: &Folder,
    there: &[Place],
    entry: Option<&Entry>,
    known: &Known,
    segments: &mut Segments<'_>,
    report: &mut Report,
) -> Result<(), AuditError> {
    let closed = entry.and_then(|entry| entry.closed.as_ref());
    let first = there.first().map_or(0, |place| place.segment);
    if first > 0 {
        // The first segments of a log that is written for weeks go with their days.
        let name = there.first().map_or("", |place| place.log.as_str());
        if known.removed.keys().any(|day| began_by(name, day)) {
            segments.begin_anywhere();
        }
    }
    let mut next = first;
    for place in there {
        for segment in next..place.segment {
            report.found(&place.log, What::Missing { segment });
        }
        next = place.segment + 1;
        let path = place.path();
        segments.segment(&path, Pieces::new(read::open_place(folder, place)?), report)?;
    }
    let name = there.first().map_or("", |place| place.log.as_str());
    match closed {
        Some((closed, killed)) => {
            for segment in next..closed.segments {
                report.found(name, What::Missing { segment });
            }
            if *killed {
                report.recovered.push((name.to_owned(), closed.cut_bytes));
            }
            let last = Hash::parse(&closed.last).unwrap_or(Hash::NOTHING);
            segments.end(Some(End { records: closed.records, last }), report);
        }
        None if is_written(folder, there)? => {
            report.live.push(name.to_owned());
            segments.end_for_now();
        }
        None => {
            report.unfinished.push(name.to_owned());
            segments.end(None, report);
        }
    }
    Ok(())
}

/// Whether a log was begun on a day or before.
fn began_by(log: &str, day: &str) -> bool {
    let day: String = day.chars().filter(char::is_ascii_digit).collect();
    log.get(..8).is_some_and(|began| began <= day.as_str())
}

/// Whether a process writes the last segment, or has closed it since the index was read.
fn is_written(folder: &Folder, there: &[Place]) -> Result<bool, AuditError> {
    let Some(place) = there.last() else { return Ok(false) };
    if place.folder != LIVE {
        return Ok(true);
    }
    let live = folder.existing(LIVE)?;
    let Some(live) = live else { return Ok(false) };
    let name = file_name(&place.log, place.segment);
    let Ok(file) = live.file(&name, OFlags::RDONLY) else { return Ok(true) };
    Ok(!Appended::new(file, live.path(&name))?.try_lock()?)
}

fn read_index(folder: &Folder, report: &mut Report) -> Result<Known, AuditError> {
    let _written_by_nobody = folder.lock_to_read()?;
    let mut known = Known::default();
    let mut chain = Segments::alone(INDEX, &[]);
    let mut begun = None;
    for (number, name) in index::file_names(folder)?.iter().enumerate() {
        chain.begin_file();
        chain.segment(name, Pieces::new(read::open(folder, name)?), report)?;
        chain.end(None, report);
        for piece in Pieces::new(read::open(folder, name)?) {
            let piece = piece.map_err(|error| AuditError::io("read", name, &error))?;
            if let Piece::Record(line) = piece {
                if number == 0 && line.seq == 0 {
                    begun = line.detail::<Begun>().map(|begun| (begun, line.prev()));
                }
                known.learn(&line);
            }
        }
    }
    if let Some((Begun { after: Some(after) }, prev)) = begun {
        let removed = known.removed_index.get(&after);
        let same = |last: &Option<String>| *last == Some(prev.to_string());
        if !removed.is_some_and(same) {
            report.found(INDEX, What::Headless { after });
        }
    }
    Ok(known)
}

impl Known {
    /// How a log ended.
    pub(super) fn closed(&self, log: &str) -> Option<&Closed> {
        self.logs.get(log)?.closed.as_ref().map(|(closed, _)| closed)
    }

    /// The key of a log's first segment.
    pub(super) fn key(&self, log: &str) -> Option<&str> {
        self.logs.get(log)?.began.as_ref().map(|(_, key)| key.as_str())
    }

    /// A day that was removed, and when.
    pub(super) fn removed_on(&self, day: &str) -> Option<(String, String)> {
        self.removed.get_key_value(day).map(|(day, when)| (day.clone(), when.clone()))
    }

    /// Whether the index has nothing of a log, and may have had it in a file that was removed.
    pub(super) fn is_cut_off_after(&self, log: &str, began: &str) -> bool {
        let mut removed = self.removed_index.keys().filter_map(|name| index::day_of(name));
        !self.logs.contains_key(log) && removed.any(|day| began <= day)
    }

    fn learn(&mut self, line: &Line) {
        let kind = |kind: Kind| line.kind == kind.name();
        if kind(Kind::LogOpened) {
            if let Some(Opened { log, key }) = line.detail() {
                self.logs.insert(log, Entry { began: Some((line.hash(), key)), closed: None });
            }
        } else if kind(Kind::LogClosed) || kind(Kind::Recovered) {
            if let Some(closed) = line.detail::<Closed>() {
                let unknown = Entry { began: None, closed: None };
                let entry = self.logs.entry(closed.log.clone()).or_insert(unknown);
                entry.closed = Some((closed, kind(Kind::Recovered)));
            }
        } else if kind(Kind::Removed)
            && let Some(Removed { what, last, .. }) = line.detail()
        {
            if index::day_of(&what).is_some() {
                self.removed_index.insert(what, last);
            } else {
                let when = line.ts.get(..10).unwrap_or(&line.ts).to_owned();
                self.removed.insert(what, when);
            }
        }
    }
}
