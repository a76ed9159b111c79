//! Checkpoints that were kept elsewhere and are about records that are not here: removed by rule, or taken away.
//!
//! What the index says can be written by whoever takes the records away. So that it says they were removed is
//! believed only of what must be gone by now: of the time a log began its checkpoint tells, in its origin, which
//! is signed and was kept elsewhere.

use super::folder::Known;
use super::{Report, What};
use crate::error::AuditError;
use crate::folder::Folder;
use crate::note::Note;
use crate::read::{self, Piece, Pieces, Place};
use crate::segment;
use crate::time::Stamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Checkpoints about records that were kept long enough and then removed, as the index says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Expired {
    /// The day under which the records lay; of the first segments of a log that goes on, the last of them.
    pub day: String,
    /// When they were removed.
    pub removed: String,
    /// How many checkpoints that were kept are about them.
    pub checkpoints: usize,
}

/// The records are not here.
const NOT_HERE: &str = "covers records that are not here";
/// Nothing tells what became of them.
const UNKNOWN: &str = "covers records that are not here: they had been kept long enough and were removed, or somebody removed them; \
     the index does not go back so far";
/// The index says that they were removed, and by rule they would be here.
const TOO_SOON: &str = "covers records that are not here: the index says that they were removed, though they are to be kept \
     still";
/// The index says that they were removed, and names fewer.
const MORE: &str = "covers more records than the index says there were and were removed";
/// The index says that they were removed, and names another key.
const OTHER_KEY: &str =
    "is signed by another key than the index names for its log, which was removed";

/// What checkpoints are held against, whose records are not here.
pub(super) struct Absent<'a> {
    pub(super) folder: &'a Folder,
    pub(super) known: &'a Known,
    /// By log, what is there of it.
    pub(super) places: &'a BTreeMap<String, Vec<Place>>,
    /// When this is asked.
    pub(super) now: Stamp,
}

impl Absent<'_> {
    /// Says of each what became of its records, as far as anything tells.
    pub(super) fn tell(&self, notes: &[&Note], report: &mut Report) -> Result<(), AuditError> {
        let mut expired: BTreeMap<(String, String), usize> = BTreeMap::new();
        for note in notes {
            match self.became(note)? {
                Ok(when) => *expired.entry(when).or_default() += 1,
                Err(why) => {
                    report.found(&note.origin, What::Contradicted { size: note.size, why });
                }
            }
        }
        let told = expired.into_iter().map(|((day, removed), checkpoints)| Expired {
            day,
            removed,
            checkpoints,
        });
        report.expired.extend(told);
        Ok(())
    }

    /// The day under which they lay and when they were removed, by rule; else what is to be said.
    fn became(&self, note: &Note) -> Result<Result<(String, String), &'static str>, AuditError> {
        let Some((log, number)) = segment::of_origin(&note.origin) else {
            return Ok(Err(NOT_HERE));
        };
        let Some(began) = segment::began(log) else { return Ok(Err(NOT_HERE)) };
        let closed = self.known.closed(log);
        let day = match self.places.get(log).and_then(|there| there.first()) {
            // The first segments of a log that is written for days go with their days.
            Some(first) if first.segment > number => self.written(first)?,
            Some(_) => return Ok(Err(NOT_HERE)),
            None => match closed {
                Some(closed) => Some(closed.day.clone()),
                None if self.known.is_cut_off_after(log, &began) => return Ok(Err(UNKNOWN)),
                None => None,
            },
        };
        let Some((day, removed)) = day.and_then(|day| self.known.removed_on(&day)) else {
            return Ok(Err(NOT_HERE));
        };
        if closed.is_some_and(|end| number >= end.segments || note.size > end.records) {
            return Ok(Err(MORE));
        }
        let other = |key: &str| number == 0 && !note.is_signed_by(key);
        if self.known.key(log).is_some_and(other) {
            return Ok(Err(OTHER_KEY));
        }
        let oldest = self.now.before(self.folder.keep()).day();
        Ok(if day < began || day >= oldest { Err(TOO_SOON) } else { Ok((day, removed)) })
    }

    /// The day on which a segment was begun, and the one before it put away.
    fn written(&self, place: &Place) -> Result<Option<String>, AuditError> {
        let first = Pieces::new(read::open_place(self.folder, place)?).next();
        let first =
            first.transpose().map_err(|error| AuditError::io("read", &place.path(), &error))?;
        Ok(match first {
            Some(Piece::Record(line)) => Stamp::parse(&line.ts).map(Stamp::day),
            Some(Piece::Bad { .. }) | None => None,
        })
    }
}
