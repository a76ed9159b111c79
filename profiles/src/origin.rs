//! Where a value was written, so that whatever is found out about it later can say so.

use crate::Problem;
use std::sync::Arc;

/// A place in a profile or on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, `command line`, or `builtin:base`.
    pub file: Arc<str>,
    /// Line and column, counted from 1.
    pub at: Option<(usize, usize)>,
    /// The key: `files.read[0]`.
    pub key: String,
}

impl Origin {
    /// The name of the command line, as a file's.
    pub const COMMAND_LINE: &str = "command line";

    /// A place that no text has: the command line, or a default.
    #[must_use]
    pub fn named(file: &str, key: &str) -> Self {
        Self { file: file.into(), at: None, key: key.into() }
    }

    /// Whether it was typed for one run, rather than written in a profile.
    #[must_use]
    pub fn is_typed(&self) -> bool {
        &*self.file == Self::COMMAND_LINE
    }

    /// Something wrong with what is written here.
    #[must_use]
    pub fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem {
            file: self.file.to_string(),
            at: self.at,
            key: self.key.clone(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    /// What.
    pub value: T,
    /// Where.
    pub origin: Origin,
}

impl<T> Written<T> {
    /// The same place with another value.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Written<U> {
        Written { value: change(self.value), origin: self.origin }
    }
}

/// A profile is laid over those it extends: what it says replaces what they said.
pub(crate) fn replace<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}
