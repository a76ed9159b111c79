//! The index: which logs there are. It is a chain like a log, written by every supervisor in turn
//! while it holds the lock, a file a day. Each log begins with the hash of its entry here, and its end
//! stands here: a log, or a part of one, that is taken away is missed.

use crate::chain::Hash;
use crate::error::AuditError;
use crate::files::Appended;
use crate::folder::{Folder, Lock, is_day};
use crate::line::{self, Line};
use crate::read::good_length;
use crate::record::{Kind, Record};
use crate::segment::telling;
use crate::time::Stamp;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the first record of a file of the index tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The file before it.
    pub after: Option<String>,
}

/// A log was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Its name.
    pub log: String,
    /// The key of its first segment.
    pub key: String,
}

/// A log is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Its name.
    pub log: String,
    /// The day under which its last segment lies.
    pub day: String,
    /// How many segments it has.
    pub segments: u32,
    /// How many records.
    pub records: u64,
    /// The hash of the last.
    pub last: String,
    /// Bytes of a torn record that were moved aside; 0 where its supervisor closed it.
    pub cut_bytes: u64,
}

/// The end of the index itself was torn, and moved aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// The file of the index.
    pub index: String,
    /// Bytes that were moved aside.
    pub cut_bytes: u64,
}

/// What was kept long enough was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// A day, or a file of the index.
    pub what: String,
    /// How many files.
    pub files: usize,
    /// The hash of the last record, of a file of the index.
    pub last: Option<String>,
}

/// The names of the files of the index, the oldest first.
pub(crate) fn file_names(folder: &Folder) -> Result<Vec<String>, AuditError> {
    let mut names = folder.names()?;
    names.retain(|name| day_of(name).is_some());
    Ok(names)
}

/// The day of a file of the index.
pub(crate) fn day_of(name: &str) -> Option<&str> {
    name.strip_prefix("index-")?.strip_suffix(".jsonl").filter(|day| is_day(day))
}

/// The index, while this process alone writes it.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    folder: &'a Folder,
    file: Appended,
    seq: u64,
    last: Hash,
    _lock: Lock,
}

impl<'a> Index<'a> {
    /// Waits for the lock, and finds the end. A torn end is moved aside.
    pub(crate) fn lock(folder: &'a Folder) -> Result<Self, AuditError> {
        let lock = folder.lock()?;
        let names = file_names(folder)?;
        // Never before the newest one, whatever the clock says.
        let today = format!("index-{}.jsonl", Stamp::now().day());
        let newest = names.last().filter(|newest| **newest >= today);
        let name = newest.cloned().unwrap_or(today);
        let file = folder.file(&name, OFlags::RDWR | OFlags::CREATE)?;
        let mut index = Self {
            folder,
            file: Appended::new(file, folder.path(&name))?,
            seq: 0,
            last: Hash::NOTHING,
            _lock: lock,
        };
        let cut = index.find_end(&name)?;
        if index.file.length() == 0 {
            let before = names.iter().rev().find(|other| **other < name);
            index.begin(before)?;
        }
        if cut > 0 {
            index.append(&telling(Kind::Recovered, &Mended { index: name, cut_bytes: cut })?)?;
        }
        Ok(index)
    }

    /// Sets `seq` and `last` after the last good record, and says how many bytes after it were moved
    /// aside.
    fn find_end(&mut self, name: &str) -> Result<u64, AuditError> {
        let length = self.file.length();
        // As a rule the last lines are short and whole.
        for window in [4 << 10, u64::try_from(line::MOST).unwrap_or(0)] {
            let tail = self.file.tail(length.saturating_sub(window))?;
            let last =
                tail.strip_suffix(b"\n").and_then(|tail| tail.rsplit(|b| *b == b'\n').next());
            if let Some(last) = last.and_then(Line::read) {
                self.follow(&last);
                return Ok(0);
            }
        }
        let bytes = self.file.tail(0)?;
        let (good, last) = good_length(&bytes);
        let torn = bytes.get(good..).unwrap_or_default();
        let cut = u64::try_from(torn.len()).unwrap_or(0);
        if cut > 0 {
            set_aside(self.folder, name, torn)?;
            self.file.cut(length - cut)?;
        }
        if let Some(last) = last {
            self.follow(&last);
        }
        Ok(cut)
    }

    fn follow(&mut self, last: &Line) {
        self.seq = last.seq + 1;
        self.last = last.hash();
    }

    /// Writes the first record, which follows the last one of the file before.
    fn begin(&mut self, before: Option<&String>) -> Result<(), AuditError> {
        if let Some(before) = before {
            let file = Appended::new(self.folder.file(before, OFlags::RDONLY)?, before.clone())?;
            let (_, last) = good_length(&file.tail(0)?);
            self.last = last.map_or(Hash::NOTHING, |last| last.hash());
        }
        self.append(&telling(Kind::Index, &Begun { after: before.cloned() })?).map(|_| ())
    }

    /// Adds an entry, and gives its hash.
    pub(crate) fn append(&mut self, record: &Record) -> Result<Hash, AuditError> {
        let mut line = Vec::new();
        let hash = line::write(self.seq, &Stamp::now().text(), record, self.last, &mut line)
            .map_err(|error| AuditError::encode(&error))?;
        self.file.append(&line)?;
        self.seq += 1;
        self.last = hash;
        Ok(hash)
    }

    /// The descriptor, to be synced by another thread.
    pub(crate) fn shared(&self) -> Arc<OwnedFd> {
        self.file.shared()
    }
}

/// Keeps the bytes of a torn end in a file of their own beside it.
pub(crate) fn set_aside(folder: &Folder, name: &str, bytes: &[u8]) -> Result<(), AuditError> {
    let aside = format!("{}.{}.tail", name.trim_end_matches(".jsonl"), Stamp::now().name());
    let file = folder.file(&aside, OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC)?;
    let mut file = Appended::new(file, folder.path(&aside))?;
    file.append(bytes)?;
    file.sync()
}
