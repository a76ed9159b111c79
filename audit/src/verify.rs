//! Reads a log again and says exactly what is missing or was changed.
//!
//! `Segments` follows one log through its files; [`folder`] compares the index with the logs that are
//! there, and `kept` what was kept elsewhere with those that are not.

mod folder;
mod kept;
mod segments;

pub use folder::folder;
pub use kept::Expired;

use crate::error::AuditError;
use crate::note::Note;
use crate::read::Pieces;
use segments::Segments;
use serde::Serialize;
use std::fmt;
use std::io::BufRead;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The log, or `index`.
    pub log: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum What {
    /// Records are not there, or not as they were.
    Lost {
        /// The first of them.
        first: u64,
        /// The last; nothing where nobody knows how many there were.
        last: Option<u64>,
        /// The file where they should be.
        file: String,
        /// Where in it.
        offset: u64,
        /// Bytes there that are no record.
        bytes: u64,
    },
    /// Bytes that are no record, where none is missing.
    Foreign {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A record does not follow the one before it: that one was replaced, with everything before.
    Unlinked {
        /// The record.
        seq: u64,
    },
    /// A record that was there before, or belongs elsewhere.
    OutOfOrder {
        /// The record.
        seq: u64,
        /// The file.
        file: String,
    },
    /// A checkpoint is not about these records, or not signed by the key of its segment.
    Unproven {
        /// The checkpoint's record.
        seq: u64,
        /// Why.
        why: &'static str,
    },
    /// The key or the name in a segment's header is not that which was announced.
    Exchanged {
        /// The file.
        file: String,
    },
    /// A whole segment is not there.
    Missing {
        /// Its number.
        segment: u32,
    },
    /// A log is not there, though nobody removed it.
    Gone {
        /// How many records it had, where it was closed.
        records: Option<u64>,
    },
    /// A log that the index does not know.
    Unknown,
    /// The log is longer, or ends otherwise, than the index says.
    OtherEnd,
    /// The index begins after a file that nobody removed.
    Headless {
        /// The file that should be there.
        after: String,
    },
    /// A checkpoint that was kept elsewhere covers other records than these.
    Contradicted {
        /// How many records it is about.
        size: u64,
        /// Why.
        why: &'static str,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.log, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { first, last, file, offset, bytes } => {
                match last {
                    Some(last) if last == first => write!(to, "record {first} is lost")?,
                    Some(last) => {
                        let count = last - first + 1;
                        write!(to, "{count} records are lost, {first} to {last}")?;
                    }
                    None => write!(to, "every record from {first} on is lost")?,
                }
                write!(to, ": {bytes} bytes at {offset} of {file} are not records")
            }
            Self::Foreign { file, offset, bytes } => {
                write!(
                    to,
                    "{bytes} bytes at {offset} of {file} are not a record; none is missing there"
                )
            }
            Self::Unlinked { seq } => {
                write!(to, "record {seq} does not follow the one before it, which was replaced")
            }
            Self::OutOfOrder { seq, file } => {
                write!(to, "record {seq} is in {file}, where it does not belong")
            }
            Self::Unproven { seq, why } => write!(to, "the checkpoint in record {seq} {why}"),
            Self::Exchanged { file } => {
                write!(to, "{file} is not the segment that was announced: another name or key")
            }
            Self::Missing { segment } => write!(to, "segment {segment} is missing"),
            Self::Gone { records: Some(records) } => {
                write!(to, "the whole log is missing, with {records} records")
            }
            Self::Gone { records: None } => write!(to, "the whole log is missing"),
            Self::Unknown => write!(to, "the index does not know this log"),
            Self::OtherEnd => write!(to, "the log does not end as the index says"),
            Self::Headless { after } => {
                write!(to, "the index continues from {after}, which is missing and was not removed")
            }
            Self::Contradicted { size, why } => {
                write!(to, "the checkpoint over {size} records that you kept {why}")
            }
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many logs were looked at.
    pub logs: usize,
    /// How many records were read, those of the index among them.
    pub records: u64,
    /// How many of them a checkpoint is about whose signature holds.
    pub signed: u64,
    /// How many checkpoints hold.
    pub checkpoints: u64,
    /// How many checkpoints that were kept elsewhere are borne out.
    pub borne_out: usize,
    /// Checkpoints that were kept elsewhere about what was kept long enough and removed, as the index says.
    pub expired: Vec<Expired>,
    /// Records that could not be written when they were made, as the logs themselves say.
    pub unwritten: u64,
    /// Logs that are being written.
    pub live: Vec<String>,
    /// Logs whose supervisor was killed, and how many bytes of a torn record that took.
    pub recovered: Vec<(String, u64)>,
    /// Logs whose supervisor was killed and that nobody closed yet.
    pub unfinished: Vec<String>,
    /// What is not as it was written; nothing where all is whole.
    pub troubles: Vec<Trouble>,
    /// The segment whose checkpoint was looked at last, and how many records it is about.
    #[serde(skip)]
    last_signed: Option<((String, u32), u64)>,
}

impl Report {
    fn found(&mut self, log: &str, what: What) {
        self.troubles.push(Trouble { log: log.to_owned(), what });
    }
}

/// Reads one file of a log by itself, as somebody does who was given no more than that.
///
/// # Errors
/// Where it cannot be read.
pub fn file(name: &str, from: impl BufRead, kept: &[Note]) -> Result<Report, AuditError> {
    let mut report = Report { logs: 1, ..Report::default() };
    let log = crate::segment::of_file(name).map_or(name, |(log, _)| log);
    let mut segments = Segments::alone(log, kept);
    segments.segment(name, Pieces::new(from), &mut report)?;
    segments.end(None, &mut report);
    for note in kept {
        if !segments.bore_out(note) {
            let what = What::Contradicted { size: note.size, why: "covers nothing in this file" };
            report.found(&note.origin, what);
        }
    }
    Ok(report)
}
