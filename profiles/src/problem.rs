//! What is wrong with a profile.

use serde::Serialize;
use std::fmt;

/// One thing wrong with a profile: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, or `command line`, or the name of a builtin profile.
    pub file: String,
    /// Line and column of the offending text, counted from 1; nothing where there is no such text.
    pub at: Option<(usize, usize)>,
    /// The key: `files.read[0]`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        plain(to, &self.file)?;
        if let Some((line, column)) = self.at {
            write!(to, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            to.write_str(": ")?;
            plain(to, &self.key)?;
        }
        to.write_str(": ")?;
        plain(to, &self.what)?;
        if !self.remedy.is_empty() {
            to.write_str("\n  remedy  ")?;
            plain(to, &self.remedy)?;
        }
        Ok(())
    }
}

/// Names and paths may hold anything; a terminal or a log must not obey them.
fn plain(to: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for letter in text.chars() {
        if letter.is_control() {
            write!(to, "{}", letter.escape_default())?;
        } else {
            write!(to, "{letter}")?;
        }
    }
    Ok(())
}
