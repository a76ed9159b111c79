//! What a caller is told that does not get what it asked for: words a model can act on, and nothing
//! about what it may not see.
//!
//! A tool call that was understood and is not made is answered as a tool that failed, because a model
//! reads that and tries something else; everything else is an error of JSON-RPC. Our codes lie outside
//! the range that JSON-RPC and MCP keep for themselves.

use crate::{
    json::{Object, Value},
    limit::Wait,
    mcp::{
        Era,
        method::{Asks, Target},
    },
    rpc::Id,
    schema::Violation,
    swap::Unfit,
};
use sandboxd_broker_plan::record::Rule;

/// Why a request is not passed on, or its answer is not passed back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The method is none, or not this caller's.
    Method,
    /// The parameters are not what the method has.
    Params(&'static str),
    /// The name is none, or not this caller's.
    Unknown(Target),
    /// The arguments are not what they must be.
    Arguments(Violation),
    /// A placeholder stands where no secret does.
    Secret(Unfit),
    /// Called too often.
    Rate(Wait),
    /// Too many calls wait already, or this one waited too long.
    Busy(Wait),
    /// The connection has as many subscriptions as it may.
    Listens,
    /// The callee failed too often.
    Broken(Wait),
    /// The caller was denied too often.
    Quarantined(Wait),
    /// The same call was made too often.
    Repeated(Wait),
    /// The caller has no calls left.
    Spent,
    /// The chain of calls is too long, or comes back to where it was.
    Chain,
    /// The edge was taken back while the run goes on.
    Revoked,
    /// Nobody approved it: why.
    NotApproved(String),
    /// What must be written down before cannot be.
    NotRecorded,
    /// No answer in time.
    Deadline,
    /// The callee is not there, or stopped before it answered.
    Gone,
    /// The answer is longer than the edge allows.
    TooLong,
    /// The answer is none.
    BadReply(&'static str),
    /// The callee asks something back that it may not: what.
    AsksBack(&'static str),
}

impl Refusal {
    /// The rule, for records.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        match self {
            Self::Method => Rule::Method,
            Self::Params(_) => Rule::Params,
            Self::Unknown(_) => Rule::Reach,
            Self::Arguments(_) => Rule::Arguments,
            Self::Secret(_) => Rule::Secret,
            Self::Rate(_) => Rule::Rate,
            Self::Busy(_) | Self::Listens => Rule::Busy,
            Self::Broken(_) => Rule::Breaker,
            Self::Quarantined(_) => Rule::Quarantine,
            Self::Repeated(_) => Rule::Repeats,
            Self::Spent => Rule::Budget,
            Self::Chain => Rule::Chain,
            Self::Revoked => Rule::Revoked,
            Self::NotApproved(_) => Rule::Approval,
            Self::NotRecorded => Rule::Record,
            Self::Deadline => Rule::Deadline,
            Self::Gone => Rule::Gone,
            Self::TooLong | Self::BadReply(_) => Rule::Reply,
            Self::AsksBack(_) => Rule::Reverse,
        }
    }

    /// Whether the caller asked for what it may not have, which it should not try often.
    #[must_use]
    pub const fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Method | Self::Unknown(_) | Self::Chain | Self::Secret(Unfit::Misplaced)
        )
    }

    /// Whether it says that the callee does not work.
    #[must_use]
    pub const fn blames_callee(&self) -> bool {
        matches!(self, Self::Deadline | Self::Gone | Self::BadReply(_))
    }

    const fn code(&self) -> i64 {
        match self {
            Self::Method => -32601,
            Self::Params(_) | Self::Unknown(_) | Self::Arguments(_) | Self::Secret(_) => -32602,
            Self::Quarantined(_) | Self::Chain | Self::Revoked | Self::AsksBack(_) => -31001,
            Self::Rate(_) | Self::Repeated(_) | Self::Spent => -31002,
            Self::Busy(_) | Self::Listens => -31003,
            Self::Broken(_) => -31004,
            Self::Deadline => -31005,
            Self::NotApproved(_) => -31006,
            Self::Gone | Self::TooLong | Self::BadReply(_) | Self::NotRecorded => -31007,
        }
    }

    const fn wait(&self) -> Option<Wait> {
        if let Self::Rate(wait)
        | Self::Busy(wait)
        | Self::Broken(wait)
        | Self::Quarantined(wait)
        | Self::Repeated(wait) = self
        {
            Some(*wait)
        } else {
            None
        }
    }

    fn text(&self) -> String {
        let retry = match self.wait() {
            Some(Wait::Seconds(seconds)) => format!(" Try again in {seconds} s."),
            Some(Wait::Never) => " This will not change while it runs; do not try again.".into(),
            None => String::new(),
        };
        let what = match self {
            Self::Method => "Method not found",
            Self::Params(what) => what,
            Self::Unknown(target) => return unknown(target),
            Self::Arguments(violation) => return format!("Invalid arguments: {violation}"),
            Self::Secret(Unfit::Misplaced) => {
                "Invalid arguments: a placeholder is not allowed there. {{secret:NAME}} works only with \
                 the name, and in the argument, that were given to you for this tool. Move it there, or leave it out."
            }
            Self::Secret(Unfit::TooMany) => {
                "Invalid arguments: too many placeholders, or too much text beside them. A call may have 16, and \
                 each counts as 8192 bytes of its limit. Split it into several calls."
            }
            Self::Rate(_) => "Called too often.",
            Self::Busy(_) => "Too many calls are in progress.",
            Self::Listens => {
                "Too many subscriptions are open on this connection; cancel one of them first."
            }
            Self::Broken(_) => "The callee has failed several times and is paused.",
            Self::Quarantined(_) => {
                "Too many requests were denied, so nothing is passed on for now."
            }
            Self::Repeated(_) => {
                "This exact call was made many times; its answer will not change. Do something else."
            }
            Self::Spent => "The budget of calls is used up; no further call will be made.",
            Self::Chain => "The chain of calls is too long, or loops.",
            Self::Revoked => {
                "This may not be called any more: it was revoked, or it expired. That will not \
                 change while you run. Do not try again; do without it."
            }
            Self::NotApproved(why) => {
                return format!(
                    "The call was not approved: {why}. Do not repeat it unless you are told to."
                );
            }
            Self::NotRecorded => "The call cannot be recorded at the moment, so it was not made.",
            Self::Deadline => "No answer came in time; the call was cancelled.",
            Self::Gone => "The callee is not running, or stopped before it answered.",
            Self::TooLong => "The answer has more bytes than this edge allows.",
            Self::BadReply(what) => what,
            Self::AsksBack(what) => {
                return format!("The callee asked for what is not allowed here: {what}.");
            }
        };
        format!("{what}{retry}")
    }

    /// Whether a tool call is answered by it as by a tool that failed.
    const fn is_result(&self) -> bool {
        !matches!(self, Self::Method | Self::Params(_) | Self::Unknown(_))
    }

    /// The answer to the request with this id.
    #[must_use]
    pub fn answer(&self, id: Id, asks: Asks, era: Era) -> Value {
        if asks == Asks::Tool && self.is_result() {
            let text: Value = [("type", "text".into()), ("text", self.text().into())].into();
            let mut result: Object = [("content", Value::Array(vec![text]))].into();
            result.set("isError", true.into());
            if era == Era::Modern {
                result.set("resultType", "complete".into());
            }
            return response(id, "result", result.into());
        }
        let mut error: Object =
            [("code", self.code().into()), ("message", self.text().into())].into();
        if let Some(Wait::Seconds(seconds)) = self.wait() {
            error.set("data", [("retryAfterSeconds", seconds.into())].into());
        }
        response(id, "error", error.into())
    }
}

/// What is answered for a name that does not exist, and for one that is hidden.
fn unknown(target: &Target) -> String {
    match target {
        Target::Whole => "Unknown request".to_owned(),
        Target::Tool(name) => format!("Unknown tool: {name}"),
        Target::Resource(uri) => format!("Unknown resource: {uri}"),
        Target::Prompt(name) => format!("Unknown prompt: {name}"),
        Target::Method(_) => "Method not found".to_owned(),
    }
}

/// A response, whole.
#[must_use]
pub fn response(id: Id, key: &str, value: Value) -> Value {
    [("jsonrpc", "2.0".into()), ("id", id.into()), (key, value)].into()
}

/// The answer to what is no request: a line that is no message, or one whose id is not known.
#[must_use]
pub fn malformed(id: Option<Id>, code: i64, what: &str) -> Value {
    let error = [("code", code.into()), ("message", what.into())].into();
    [("jsonrpc", "2.0".into()), ("id", id.map_or(Value::Null, Value::from)), ("error", error)]
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::text;

    #[test]
    fn a_refused_tool_call_reads_as_a_tool_that_failed_and_says_how_long_to_wait() {
        let answer = Refusal::Rate(Wait::Seconds(7)).answer(
            Id::Integer("1".into()),
            Asks::Tool,
            Era::Legacy,
        );
        assert_eq!(
            text(&answer),
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Called too often. Try again in 7 s."}],"isError":true}}"#
        );
        let answer =
            Refusal::Busy(Wait::Seconds(2)).answer(Id::Text("a".into()), Asks::Prompt, Era::Modern);
        assert_eq!(
            text(&answer),
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":-31003,"message":"Too many calls are in progress. Try again in 2 s.","data":{"retryAfterSeconds":2}}}"#
        );
    }
}
