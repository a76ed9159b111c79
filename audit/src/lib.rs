//! The audit log: what was decided and what happened, in a form that cannot be changed unnoticed.
//!
//! A [`Folder`] holds one log for each supervisor, in segments, and an index that chains the logs, so
//! that a whole log that is taken away is missed. A [`Writer`] is the only one that writes its log. It
//! chains each [`Record`] to the one before, signs a checkpoint over all of them now and then, and
//! commits to the disk in groups. [`verify`](verify::verify) reads everything again and says exactly
//! what is missing or was changed.
//!
//! Read in this order: [`record`] (what is told), [`line`] (how it becomes a line), [`chain`],
//! [`merkle`] and [`note`] (what holds the lines together), [`segment`] (a file of them), [`log`] (a
//! supervisor's segments), [`writer`] (who commits, and when), [`index`], [`recover`] (after a
//! supervisor that was killed), [`read`], [`living`] (who writes now) and [`verify`].
#![forbid(unsafe_code)]

pub mod chain;
pub mod encode;
pub mod error;
mod files;
mod folder;
pub mod hide;
pub mod index;
pub mod line;
pub mod living;
pub mod log;
mod merkle;
pub mod note;
pub mod read;
pub mod record;
pub mod recover;
pub mod redact;
pub mod segment;
pub mod time;
pub mod verify;
pub mod writer;

pub use error::{AuditError, Unwritten};
pub use folder::Folder;
pub use hide::Hidden;
pub use record::{Kind, Record};
pub use redact::Redactor;
pub use writer::{Commit, Durability, Writer};
