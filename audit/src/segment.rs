//! A segment: one file of a log, with a key of its own that signs it and is forgotten with it.

use crate::chain::Hash;
use crate::error::AuditError;
use crate::files::Appended;
use crate::line;
use crate::merkle::Tree;
use crate::note::Key;
use crate::record::{Kind, Record};
use crate::time::Stamp;
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the first record of a segment tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The log.
    pub log: String,
    /// Which segment of it, from 0.
    pub segment: u32,
    /// The key that its checkpoints are verified with, in hexadecimal digits.
    pub key: String,
    /// The boot of the machine, `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    /// The supervisor.
    pub pid: u32,
    /// Whose it is.
    pub uid: u32,
    /// Who logged in and called it, where the kernel knows.
    pub loginuid: Option<u32>,
    /// The version of sandboxd.
    pub sandboxd: String,
}

/// What a checkpoint tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The signed note.
    pub note: String,
}

/// What the last but one record of a segment tells, where another follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// The next one.
    pub segment: u32,
    /// Its key.
    pub key: String,
}

/// What a gap tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How many records could not be written.
    pub records: u64,
}

/// The name of a segment's file.
#[must_use]
pub fn file_name(log: &str, segment: u32) -> String {
    format!("{log}.{segment:04}.jsonl")
}

/// The log and the segment that a file is of.
#[must_use]
pub fn of_file(name: &str) -> Option<(&str, u32)> {
    let (log, segment) = name.strip_suffix(".jsonl")?.rsplit_once('.')?;
    let plain = segment.len() >= 4 && segment.bytes().all(|byte| byte.is_ascii_digit());
    if plain && !log.is_empty() { Some((log, segment.parse().ok()?)) } else { None }
}

/// What the notes of a segment begin with.
#[must_use]
pub fn origin(log: &str, segment: u32) -> String {
    format!("sandboxd-audit/{log}/{segment}")
}

/// The log and the segment that notes with this origin are about.
pub(crate) fn of_origin(origin: &str) -> Option<(&str, u32)> {
    let (log, segment) = origin.strip_prefix("sandboxd-audit/")?.rsplit_once('/')?;
    Some((log, segment.parse().ok()?))
}

/// The day on which a log was begun, as its name has it.
pub(crate) fn began(log: &str) -> Option<String> {
    let (year, month, day) = (log.get(..4)?, log.get(4..6)?, log.get(6..8)?);
    Some(format!("{year}-{month}-{day}")).filter(|day| crate::folder::is_day(day))
}

/// A segment that is written.
pub(crate) struct Segment {
    file: Appended,
    key: Key,
    origin: String,
    tree: Tree,
    /// Records since the last checkpoint.
    unsigned: u64,
}

impl Segment {
    pub(crate) fn new(file: Appended, key: Key, origin: String) -> Self {
        Self { file, key, origin, tree: Tree::default(), unsigned: 0 }
    }

    /// Adds records after the one with `prev`, all of them or none, and gives the hash of the last.
    pub(crate) fn append(
        &mut self,
        seq: u64,
        records: &[Record],
        prev: Hash,
    ) -> Result<Hash, AuditError> {
        let (mut lines, mut hashes) = (Vec::new(), Vec::with_capacity(records.len()));
        let (at, mut last) = (Stamp::now().text(), prev);
        for (seq, record) in (seq..).zip(records) {
            last = line::write(seq, &at, record, last, &mut lines)
                .map_err(|error| AuditError::encode(&error))?;
            hashes.push(last);
        }
        self.file.append(&lines)?;
        for hash in hashes {
            self.tree.push(hash);
            self.unsigned += 1;
        }
        Ok(last)
    }

    /// Adds a checkpoint over all records so far.
    pub(crate) fn checkpoint(&mut self, seq: u64, prev: Hash) -> Result<Hash, AuditError> {
        let note = self.key.sign(&self.origin, self.tree.size(), &self.tree.root());
        let record = telling(Kind::Checkpoint, &Checkpoint { note })?;
        let hash = self.append(seq, &[record], prev)?;
        self.unsigned = 0;
        Ok(hash)
    }

    pub(crate) const fn unsigned(&self) -> u64 {
        self.unsigned
    }

    pub(crate) const fn length(&self) -> u64 {
        self.file.length()
    }

    pub(crate) fn shared(&self) -> Arc<OwnedFd> {
        self.file.shared()
    }
}

/// A record that the log makes of itself.
pub(crate) fn telling(kind: Kind, detail: &impl Serialize) -> Result<Record, AuditError> {
    let mut record = Record::of(kind);
    record.detail = serde_json::to_value(detail).map_err(|error| AuditError::encode(&error))?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_says_which_segment_it_is() {
        let name = file_name("20261125T150102123-4711-9f3a", 12);
        assert_eq!(of_file(&name), Some(("20261125T150102123-4711-9f3a", 12)));
        for other in ["index-2026-11-25.jsonl", "lock", "x.0001.tail", ".0001.jsonl", "x.1.jsonl"] {
            assert_eq!(of_file(other), None, "{other}");
        }
    }
}
