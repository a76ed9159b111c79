//! Reading lines back, whatever stands in the file.

use crate::error::AuditError;
use crate::folder::{Folder, LIVE, is_day};
use crate::index;
use crate::line::{self, Line};
use crate::segment;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// What stands in a file, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A record that belongs to its hash.
    Record(Box<Line>),
    /// Bytes that are none.
    Bad {
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
    },
}

/// The pieces of a file.
#[derive(Debug)]
pub struct Pieces<R> {
    from: R,
    offset: u64,
}

impl<R: BufRead> Pieces<R> {
    /// From the beginning of a file.
    pub const fn new(from: R) -> Self {
        Self { from, offset: 0 }
    }

    /// Where the next piece begins.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}

impl<R: BufRead> Iterator for Pieces<R> {
    type Item = std::io::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        let most = u64::try_from(line::MOST).unwrap_or(u64::MAX);
        let read = (&mut self.from).take(most).read_until(b'\n', &mut bytes);
        let length = match read {
            Ok(0) => return None,
            Ok(length) => u64::try_from(length).unwrap_or(0),
            Err(error) => return Some(Err(error)),
        };
        let offset = self.offset;
        self.offset += length;
        // A line without its end was not written to its end.
        let line = bytes.strip_suffix(b"\n").and_then(Line::read);
        Some(Ok(match line {
            Some(line) => Piece::Record(Box::new(line)),
            None => Piece::Bad { offset, bytes: length },
        }))
    }
}

/// How many bytes at the beginning are good records, and the last of them.
#[must_use]
pub fn good_length(bytes: &[u8]) -> (usize, Option<Line>) {
    let (mut good, mut last) = (0, None);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(read) = line.strip_suffix(b"\n").and_then(Line::read) else { break };
        good += line.len();
        last = Some(read);
    }
    (good, last)
}

/// A segment's file, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its log.
    pub log: String,
    /// Its number.
    pub segment: u32,
    /// Its folder: `live`, or a day.
    pub folder: String,
}

impl Place {
    /// Its path below the folder of all logs.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.folder, segment::file_name(&self.log, self.segment))
    }
}

/// Every segment of a folder, by the time its log was begun.
///
/// # Errors
/// Where a folder cannot be read.
pub fn places(folder: &Folder) -> Result<Vec<Place>, AuditError> {
    let mut places = Vec::new();
    let mut names = folder.names()?;
    names.retain(|name| name == LIVE || is_day(name));
    // The living first, so that one that is moved meanwhile is seen twice and not never.
    names.sort_by_key(|name| name != LIVE);
    for name in names {
        let Some(dir) = folder.existing(&name)? else { continue };
        for file in dir.names()? {
            if let Some((log, segment)) = segment::of_file(&file) {
                places.push(Place { log: log.to_owned(), segment, folder: name.clone() });
            }
        }
    }
    places.sort();
    places.dedup_by(|one, other| (&one.log, one.segment) == (&other.log, other.segment));
    Ok(places)
}

/// That this is a folder of logs: nothing can be said of another, least of all that it is whole.
///
/// # Errors
/// Where neither an index nor a log is there.
pub fn has_any(folder: &Folder) -> Result<(), AuditError> {
    if index::file_names(folder)?.is_empty() && places(folder)?.is_empty() {
        let what = format!("{}: there is no log, and no index of logs", folder.label());
        return Err(AuditError::found(
            "look",
            what,
            "name a folder that has an index-….jsonl, or a file of a log; without one, your own log is read",
        ));
    }
    Ok(())
}

/// A file below the folder of all logs, to be read.
///
/// # Errors
/// Where it cannot be opened.
pub fn open(folder: &Folder, path: &str) -> Result<BufReader<File>, AuditError> {
    Ok(BufReader::new(File::from(folder.file(path, OFlags::RDONLY)?)))
}

/// A segment, to be read; where it was put away since it was found, from there.
///
/// # Errors
/// Where it cannot be opened.
pub fn open_place(folder: &Folder, place: &Place) -> Result<BufReader<File>, AuditError> {
    open(folder, &place.path()).or_else(|error| {
        let mut now = places(folder)?;
        now.retain(|now| (&now.log, now.segment) == (&place.log, place.segment));
        now.first().map_or(Err(error), |now| open(folder, &now.path()))
    })
}
