//! What is told: who, what, and what became of it. No bodies of messages, only sizes and digests.
//!
//! Names may be chosen by an agent. Each is bounded, and holds nothing that a terminal or another
//! reader of lines would obey; secrets are taken out before anything is cut off.

use crate::redact::Redactor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// Bytes of a name.
const NAME: usize = 128;
/// Bytes of any other text.
const TEXT: usize = 512;
/// Entries of a list.
const LIST: usize = 256;
/// Bytes of what a record carries whole.
const WHOLE: usize = 48 << 10;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first record of a segment: which log, and the key that signs it.
    Header,
    /// A signed statement about all records of the segment before it.
    Checkpoint,
    /// Another segment follows, signed by the key that is named here.
    Rotated,
    /// The last record of a log.
    Closed,
    /// Records before this one could not be written.
    Gap,
    /// The first record of a file of the index.
    Index,
    /// In the index: a log was begun.
    LogOpened,
    /// In the index: a log is whole, and this is its end.
    LogClosed,
    /// In the index: a log whose supervisor was killed was closed by another.
    Recovered,
    /// In the index: logs that were kept long enough were removed.
    Removed,
    /// Every layer of a sandbox is on, and its command is let go.
    Started,
    /// A command was not run.
    Refused,
    /// A command ended.
    Ended,
    /// Somebody connected, to call, and was let in or not.
    Connected,
    /// A call from one sandbox to another was decided.
    Call,
    /// A person approved or denied a call that was held.
    Approval,
    /// An edge was taken back while its run goes on, by a person or because its time was over.
    Revoked,
    /// A person said what a tool is from now on, or that a server's tools are pinned anew.
    Pins,
    /// A call that was passed on has ended.
    Answered,
    /// Something about calls that somebody should know: of a callee, or of a caller.
    Noticed,
    /// Secrets of a run were read again, or could not be.
    SecretRotated,
    /// A connection out of a sandbox, or a question for a name, was decided, and is over.
    Egress,
    /// A key signed something for a sandbox that does not have it, or did not.
    Signature,
    /// Records of this kind that came too often, and were counted instead.
    LeftOut,
}

impl Kind {
    /// All that there are.
    const ALL: [Self; 24] = [
        Self::Header,
        Self::Checkpoint,
        Self::Rotated,
        Self::Closed,
        Self::Gap,
        Self::Index,
        Self::LogOpened,
        Self::LogClosed,
        Self::Recovered,
        Self::Removed,
        Self::Started,
        Self::Refused,
        Self::Ended,
        Self::Connected,
        Self::Call,
        Self::Approval,
        Self::Revoked,
        Self::Pins,
        Self::Answered,
        Self::Noticed,
        Self::SecretRotated,
        Self::Egress,
        Self::Signature,
        Self::LeftOut,
    ];

    /// The names of all of them, for whoever chooses one.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|kind| kind.name()).collect()
    }

    /// Its name, as it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Checkpoint => "checkpoint",
            Self::Rotated => "rotated",
            Self::Closed => "closed",
            Self::Gap => "gap",
            Self::Index => "index",
            Self::LogOpened => "log_opened",
            Self::LogClosed => "log_closed",
            Self::Recovered => "recovered",
            Self::Removed => "removed",
            Self::Started => "started",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Connected => "connected",
            Self::Call => "call",
            Self::Approval => "approval",
            Self::Revoked => "revoked",
            Self::Pins => "pins",
            Self::Answered => "answered",
            Self::Noticed => "noticed",
            Self::SecretRotated => "secret_rotated",
            Self::Egress => "egress",
            Self::Signature => "signature",
            Self::LeftOut => "left_out",
        }
    }
}

/// The sandbox that a record is about, as the supervisor knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The profile's name.
    pub agent: String,
    /// The sandbox's id; nothing where there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// SHA-256 of the effective profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_sha256: Option<String>,
    /// Kernel id of its cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<u64>,
    /// Its command's process, as seen from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Its command's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
}

/// The call that a record is about, by the numbers of its broker; 0 where none is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CallOf {
    /// The profile that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callee: Option<String>,
    /// The sandbox of the instance, where that is the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Whether the first of the chain is one process for several: whom it called for is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub for_several: bool,
    /// The connection.
    pub connection: u64,
    /// The instance of the callee.
    pub instance: u64,
    /// The call.
    pub number: u64,
}

/// One record, before it has a place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// On whose behalf, the first caller first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The edge of the call graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<String>,
    /// Which call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallOf>,
    /// The method that was called, or the program that was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The tool that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// SHA-256 of the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_sha256: Option<String>,
    /// How many bytes they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_bytes: Option<u64>,
    /// `allowed` or `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<&'static str>,
    /// What decided it: a key of the profile, or a stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What became of it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// What was enforced.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub receipt: Value,
    /// What the log says of itself.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl Record {
    /// A record of a kind, with nothing said yet.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self {
            kind,
            actor: None,
            chain: Vec::new(),
            edge: None,
            call: None,
            method: None,
            tool: None,
            args_sha256: None,
            args_bytes: None,
            decision: None,
            rule: None,
            result: Value::Null,
            receipt: Value::Null,
            detail: Value::Null,
        }
    }

    /// The same, without secrets, and nothing longer or more than a record may hold.
    #[must_use]
    pub(crate) fn fit(mut self, redactor: &Redactor) -> Self {
        let name = |text: &mut String| fit_text(text, redactor, NAME);
        if let Some(actor) = &mut self.actor {
            name(&mut actor.agent);
            actor.instance.iter_mut().for_each(name);
        }
        self.chain.iter_mut().for_each(name);
        for text in [&mut self.edge, &mut self.method, &mut self.tool, &mut self.rule] {
            text.iter_mut().for_each(name);
        }
        self.chain.truncate(LIST);
        for value in [&mut self.result, &mut self.receipt].into_iter().filter(|it| !it.is_null()) {
            fit_value(value, redactor);
            let text = value.to_string();
            if text.len() > WHOLE {
                let sha256 = crate::chain::digest(text.as_bytes());
                *value = serde_json::json!({ "left_out_bytes": text.len(), "sha256": sha256 });
            }
        }
        self
    }
}

fn fit_value(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => fit_text(text, redactor, TEXT),
        Value::Array(list) => {
            let more = list.len().saturating_sub(LIST);
            list.truncate(LIST);
            list.iter_mut().for_each(|one| fit_value(one, redactor));
            if more > 0 {
                list.push(Value::String(format!("… and {more} more")));
            }
        }
        Value::Object(map) => map.values_mut().for_each(|one| fit_value(one, redactor)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes secrets out of a text, and makes it fit.
fn fit_text(text: &mut String, redactor: &Redactor, most: usize) {
    let clean = redactor.clean(text);
    if matches!(clean, Cow::Owned(_)) || !fits(&clean, most) {
        *text = fit(&clean, most);
    }
}

/// Whether a text has so many bytes at most, and nothing that a terminal or a reader of lines could obey. Most do.
fn fits(text: &str, most: usize) -> bool {
    text.len() <= most && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A text of so many bytes at most, that no terminal and no reader of lines obeys.
fn fit(text: &str, most: usize) -> String {
    if fits(text, most) {
        return text.to_owned();
    }
    let mut fitted = String::new();
    for one in text.chars() {
        let piece: String =
            if is_obeyed(one) { one.escape_unicode().collect() } else { one.to_string() };
        if fitted.len() + piece.len() > most {
            // The bytes of the mark are beyond the bound, so that what is there is never shorter for it.
            fitted.push('…');
            break;
        }
        fitted.push_str(&piece);
    }
    fitted
}

/// Control characters, ends of lines, and what turns the direction of writing.
fn is_obeyed(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_is_bounded_and_obeyed_by_nothing() {
        assert_eq!(fit("make", NAME), "make");
        assert_eq!(fit("a\u{1b}[2Jb\nc\u{202e}", NAME), "a\\u{1b}[2Jb\\u{a}c\\u{202e}");
        let long = fit(&"x".repeat(1000), NAME);
        assert_eq!(long, format!("{}…", "x".repeat(NAME)));
        // No character is cut, and no escape.
        assert_eq!(fit(&"é".repeat(100), NAME), format!("{}…", "é".repeat(64)));
        assert_eq!(fit("\u{1b}\u{1b}", 8), "\\u{1b}…");
    }

    #[test]
    fn no_part_of_a_secret_is_left_where_a_name_is_cut() {
        let secret = "hunter2-hunter2-hunter2";
        let redactor = Redactor::of([("TOKEN", secret)]);
        let mut record = Record::of(Kind::Started);
        record.method = Some(format!("{}{secret}", "x".repeat(NAME - 5)));
        let fitted = record.fit(&redactor).method.unwrap();
        assert!(!fitted.contains("hunt"), "{fitted}");
    }

    #[test]
    fn what_an_agent_could_make_endless_is_cut_and_says_so() {
        let mut record = Record::of(Kind::Ended);
        record.result = json!({ "may_execute": vec!["y".repeat(4000); 5000] });
        let fitted = record.fit(&Redactor::default());
        assert!(fitted.result.get("left_out_bytes").is_some());
        let mut record = Record::of(Kind::Ended);
        record.result = json!({ "may_execute": vec!["y"; 5000] });
        let list = record.fit(&Redactor::default()).result;
        let list = list["may_execute"].as_array().unwrap();
        assert_eq!(list.last().unwrap(), "… and 4744 more");
    }
}
