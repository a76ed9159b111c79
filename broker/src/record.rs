//! What is written down: every decision, every end of a call, and what looks like an attack. No
//! message is in it, only digests and sizes.

use crate::limit::Moment;

/// The most bytes of a name in a record; what exceeds it is cut.
pub const NAME: usize = 128;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Moment,
    /// Of which graph.
    pub generation: u64,
    /// Who called, as the kernel proved it; empty where nobody is meant.
    pub caller: String,
    /// On whose behalf, the first first; one for each call that the caller is answering.
    pub chains: Vec<Vec<String>>,
    /// The edge's name; empty where none is meant.
    pub edge: String,
    /// Who is called; empty where nobody is meant.
    pub callee: String,
    /// The connection; 0 where none is meant.
    pub connection: u64,
    /// The instance; 0 where none is meant.
    pub instance: u64,
    /// The call; 0 where none is meant.
    pub call: u64,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call was allowed, and is passed on.
    Allowed(What),
    /// A call was refused by this rule.
    Refused {
        /// The call.
        what: What,
        /// The rule.
        rule: &'static str,
    },
    /// A call that was passed on has ended.
    Finished {
        /// `ok`, `error`, or the rule that ended it.
        status: &'static str,
        /// Bytes of the answer.
        bytes: u64,
        /// From the request to the answer.
        ms: u64,
    },
    /// A caller wrote what is no message.
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// A connection was closed for it.
    Struck,
    /// A caller is refused everything for a while.
    Quarantined,
    /// A callee is left alone for a while.
    BreakerOpened,
    /// A tool was pinned as it was first seen.
    ToolPinned {
        /// Its name.
        tool: String,
        /// The digest of its definition.
        digest: String,
    },
    /// A tool is not what it was, and hidden.
    ToolChanged {
        /// Its name.
        tool: String,
        /// The digest of its definition.
        digest: String,
    },
    /// A tool's arguments cannot be checked, so it is hidden.
    ToolUncheckable {
        /// Its name.
        tool: String,
        /// Why.
        why: String,
    },
    /// A callee asked back.
    AskedBack {
        /// The method.
        method: String,
        /// Whether it was passed on.
        allowed: bool,
    },
    /// A callee wrote what is no message, or an answer to nothing; it was dropped.
    Stray {
        /// How often by now.
        count: u32,
    },
}

/// A call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct What {
    /// Its method.
    pub method: String,
    /// The tool, URI or prompt.
    pub name: String,
    /// SHA-256 over the canonical JSON of its parameters without `_meta`, in hexadecimal.
    pub digest: String,
    /// Bytes of the message.
    pub bytes: u64,
}

/// A name as a record has it: no more than [`NAME`] bytes, cut between letters.
#[must_use]
pub fn name(text: &str) -> String {
    let mut end = text.len().min(NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_letters() {
        assert_eq!(name("tool"), "tool");
        assert_eq!(name(&"é".repeat(100)).len(), 128);
        assert_eq!(name(&("a".to_owned() + &"é".repeat(100))).len(), 127);
    }
}
