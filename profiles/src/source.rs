//! The text of a profile: bounded, parsed, and positions in it.

use crate::Problem;
use sandboxd_plan::HostPath;
use std::ops::Range;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// The most bytes a profile may take.
pub const MOST_BYTES: usize = 256 << 10;
/// The most values and tables one profile may have.
pub const MOST_VALUES: usize = 10_000;
/// Problems of one text beyond this many are counted, not listed.
const MOST_PROBLEMS: usize = 50;

/// A profile as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file as problems show it, `command line`, or `builtin:base`.
    pub name: String,
    /// The folder that relative paths in it start from, and that the sandbox must not be able to
    /// write. Nothing for a builtin profile: its relative paths start from the caller's folder.
    pub folder: Option<HostPath>,
    /// The text.
    pub text: String,
}

/// A document and the beginnings of its lines.
pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    pub(crate) folder: Option<HostPath>,
    text: String,
    lines: Vec<usize>,
    /// Whether positions mean something to the reader: not on the command line.
    positions: bool,
}

impl Source {
    /// # Errors
    /// Where the text is too long to be a profile.
    pub(crate) fn new(document: Document, positions: bool) -> Result<Self, Problem> {
        let Document { name, folder, text } = document;
        if text.len() > MOST_BYTES {
            return Err(Problem {
                file: name,
                at: None,
                key: String::new(),
                what: format!("{} bytes; a profile has at most {MOST_BYTES}", text.len()),
                remedy: "name folders instead of the files in them".into(),
            });
        }
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(index, _)| index + 1)).collect();
        Ok(Self { file: name.into(), folder, text, lines, positions })
    }

    /// Line and column, counted from 1, of a byte.
    pub(crate) fn position(&self, byte: usize) -> Option<(usize, usize)> {
        if !self.positions {
            return None;
        }
        let line = self.lines.partition_point(|start| *start <= byte);
        let start = self.lines.get(line.checked_sub(1)?)?;
        // Counting letters is for people; in a line of many thousand bytes the byte does.
        let before = match self.text.get(*start..byte) {
            Some(text) if text.len() < 4096 => text.chars().count(),
            _ => byte - start,
        };
        Some((line, before + 1))
    }

    /// The parsed text.
    ///
    /// # Errors
    /// Where it is not TOML, with every place at which it is not, or has too many values.
    pub(crate) fn parse(&self) -> Result<DeTable<'_>, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            let table = table.into_inner();
            let mut left = MOST_VALUES;
            return if fits(&table, &mut left) {
                Ok(table)
            } else {
                Err(vec![self.whole(
                    format!("more than {MOST_VALUES} keys, values and tables"),
                    "name folders instead of the files in them",
                )])
            };
        }
        let mut problems: Vec<Problem> =
            errors.iter().take(MOST_PROBLEMS).map(|error| self.syntax(error)).collect();
        if errors.len() > MOST_PROBLEMS {
            let more = errors.len() - MOST_PROBLEMS;
            problems.push(
                self.whole(format!("{more} more syntax errors"), "correct those above first"),
            );
        }
        Err(problems)
    }

    fn whole(&self, what: String, remedy: &str) -> Problem {
        let (file, key) = (self.file.to_string(), String::new());
        Problem { file, at: None, key, what, remedy: remedy.into() }
    }

    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let span = error.span().unwrap_or(Range { start: 0, end: 0 });
        let message = error.message();
        let (what, remedy) = if message.contains("duplicate key") {
            ("the key is written twice".into(), "keep one of the two")
        } else if message.contains("recursion") {
            ("nested too deeply".into(), "no table of a profile is nested more than a few levels")
        } else {
            (
                format!("not TOML: {}", message.trim().replace('\n', ", ")),
                "correct this place; `sandboxd profile init` writes a profile to compare with",
            )
        };
        let key = if message.contains("duplicate key") {
            self.text.get(span.clone()).unwrap_or_default().trim().to_owned()
        } else {
            String::new()
        };
        Problem {
            file: self.file.to_string(),
            at: self.position(span.start),
            key,
            what,
            remedy: remedy.into(),
        }
    }
}

/// Whether a table has no more than `left` values; the parser bounds the depth.
fn fits(table: &DeTable<'_>, left: &mut usize) -> bool {
    table.iter().all(|(_, value)| fits_value(value.get_ref(), left))
}

fn fits_value(value: &DeValue<'_>, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else {
        return false;
    };
    *left = rest;
    match value {
        DeValue::Array(list) => list.iter().all(|item| fits_value(item.get_ref(), left)),
        DeValue::Table(table) => fits(table, left),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => true,
    }
}
