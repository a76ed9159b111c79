//! An answer: what each layer says, and where in the profiles that is written.

use crate::origin::Origin;
use serde::Serialize;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What was asked, in words.
    pub question: String,
    /// Whether the command may.
    pub allowed: bool,
    /// What the command is answered where it may not: errno(3); nothing where it is killed, or there is no
    /// such answer.
    pub errno: Option<i32>,
    /// What each layer says of it.
    pub layers: Vec<Judged>,
    /// What is to be known beside that.
    pub notes: Vec<String>,
}

/// What one layer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Which: as receipts name it, or `permissions` of the file itself.
    pub layer: &'static str,
    /// Whether it lets it through.
    pub allows: bool,
    /// Why, in words.
    pub what: String,
    /// Where that is written; empty where sandboxd does it without being told.
    pub lines: Vec<Line>,
}

/// A place in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The file, `command line`, or `builtin:base`.
    pub file: String,
    /// Counted from 1; nothing where the text has none.
    pub line: Option<usize>,
    /// The key: `files.read[0]`.
    pub key: String,
}

impl From<&Origin> for Line {
    fn from(origin: &Origin) -> Self {
        Self {
            file: origin.file.to_string(),
            line: origin.at.map(|(line, _)| line),
            key: origin.key.clone(),
        }
    }
}

impl Answer {
    pub(crate) fn new(question: impl Into<String>) -> Self {
        let (layers, notes) = (Vec::new(), Vec::new());
        Self { question: question.into(), allowed: true, errno: None, layers, notes }
    }

    /// What a layer says; the first that refuses gives the errno.
    pub(crate) fn say(&mut self, judged: Judged, errno: Option<i32>) {
        if !judged.allows && self.allowed {
            self.allowed = false;
            self.errno = errno;
        }
        self.layers.push(judged);
    }

    pub(crate) fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }
}

pub(crate) fn allows(layer: &'static str, what: impl Into<String>, lines: Vec<Line>) -> Judged {
    Judged { layer, allows: true, what: what.into(), lines }
}

pub(crate) fn refuses(layer: &'static str, what: impl Into<String>, lines: Vec<Line>) -> Judged {
    Judged { layer, allows: false, what: what.into(), lines }
}
