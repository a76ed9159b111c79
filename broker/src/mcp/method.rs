//! What a method is, for each direction. What is in no table is not passed on, unless the edge names
//! it.

use super::{list::Listed, stamp};
use crate::{
    json::{Object, Value},
    rpc,
};
use sandboxd_broker_plan::Pattern;

/// What a request of a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// `initialize`
    Handshake,
    /// `server/discover`
    Discover,
    /// A list of what there is.
    List(Listed),
    /// `tools/call`
    Tool,
    /// `resources/read`, and `resources/subscribe` with its opposite
    Resource,
    /// `prompts/get`
    Prompt,
    /// `completion/complete`, for a prompt or a resource
    Completion,
    /// `subscriptions/listen`, which is answered when it ends
    Listen,
    /// `ping`, `logging/setLevel`
    Upkeep,
    /// A method that the edge names.
    Named,
}

impl Asks {
    /// What a method of the protocol asks for; nothing where it is none of them.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "initialize" => Self::Handshake,
            "server/discover" => Self::Discover,
            "tools/list" => Self::List(Listed::Tools),
            "resources/list" => Self::List(Listed::Resources),
            "resources/templates/list" => Self::List(Listed::Templates),
            "prompts/list" => Self::List(Listed::Prompts),
            "tools/call" => Self::Tool,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Self::Resource,
            "prompts/get" => Self::Prompt,
            "completion/complete" => Self::Completion,
            "subscriptions/listen" => Self::Listen,
            "ping" | "logging/setLevel" => Self::Upkeep,
            _ => return None,
        })
    }

    /// Whether something is done by it, and not only looked at: such a call is charged to the rates.
    #[must_use]
    pub const fn is_call(self) -> bool {
        matches!(self, Self::Tool | Self::Resource | Self::Prompt | Self::Completion | Self::Named)
    }
}

/// What exactly is meant by a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nothing with a name.
    Whole,
    /// A tool.
    Tool(String),
    /// A URI.
    Resource(String),
    /// A prompt.
    Prompt(String),
    /// A method that the edge names.
    Method(String),
}

impl Target {
    /// The name, for records and for what a caller is told.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Whole => "",
            Self::Tool(name) | Self::Resource(name) | Self::Prompt(name) | Self::Method(name) => {
                name
            }
        }
    }

    /// Whether a pattern of names of its kind means it.
    #[must_use]
    pub fn is_of(&self, pattern: &Pattern) -> bool {
        match self {
            Self::Resource(uri) => pattern.matches_uri(uri),
            Self::Whole | Self::Tool(_) | Self::Prompt(_) | Self::Method(_) => {
                pattern.matches(self.name())
            }
        }
    }
}

/// Keys of parameters that something is decided by.
const MEANT: &[&str] = &[
    "name",
    "arguments",
    "uri",
    "_meta",
    "ref",
    "requestId",
    "progressToken",
    "inputResponses",
    "requestState",
    "notifications",
    "cursor",
    "protocolVersion",
    "capabilities",
    "clientInfo",
];

/// What a request means by its parameters.
///
/// # Errors
/// What is wrong with them, in words.
pub fn target(asks: Asks, method: &str, params: Option<&Object>) -> Result<Target, &'static str> {
    let empty = Object::default();
    let params = params.unwrap_or(&empty);
    if rpc::ambiguous(params, MEANT) {
        return Err("keys of params must not differ only in case");
    }
    let meta = params.get("_meta").and_then(Value::as_object);
    if meta.is_some_and(|meta| rpc::ambiguous(meta, stamp::MEANT)) {
        return Err("keys of _meta must not differ only in case");
    }
    let text = |key| params.str(key).map(str::to_owned);
    match asks {
        Asks::Tool => match params.get("arguments") {
            Some(Value::Object(arguments)) if rpc::ambiguous(arguments, &[]) => {
                Err("keys of arguments must not differ only in case")
            }
            None | Some(Value::Object(_)) => {
                text("name").map(Target::Tool).ok_or("name must be the name of a tool")
            }
            Some(_) => Err("arguments must be an object"),
        },
        Asks::Resource => text("uri").map(Target::Resource).ok_or("uri must be a URI"),
        Asks::Prompt => text("name").map(Target::Prompt).ok_or("name must be the name of a prompt"),
        Asks::Completion => {
            let to = params.get("ref").and_then(Value::as_object).unwrap_or(&empty);
            match (to.str("type"), to.str("name"), to.str("uri")) {
                _ if rpc::ambiguous(to, &["type", "name", "uri"]) => {
                    Err("keys of ref must not differ only in case")
                }
                (Some("ref/prompt"), Some(name), None) => Ok(Target::Prompt(name.to_owned())),
                (Some("ref/resource"), None, Some(uri)) => Ok(Target::Resource(uri.to_owned())),
                _ => Err("ref must name a prompt or a resource"),
            }
        }
        Asks::Named => Ok(Target::Method(method.to_owned())),
        Asks::Handshake | Asks::Discover | Asks::List(_) | Asks::Listen | Asks::Upkeep => {
            Ok(Target::Whole)
        }
    }
}

/// What a callee tells without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// How far a call is.
    Progress,
    /// A list is not any more what it was.
    Changed,
    /// A resource is not any more what it was.
    Updated,
    /// A line for a log, or that a question was answered elsewhere.
    Message,
    /// Which of the wished notifications will come.
    Acknowledged,
    /// That a question of its own needs no answer any more.
    Cancelled,
}

impl Tells {
    /// What a notification of a callee tells; nothing where it is none of the protocol's.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "notifications/progress" => Self::Progress,
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => Self::Changed,
            "notifications/resources/updated" => Self::Updated,
            "notifications/message" | "notifications/elicitation/complete" => Self::Message,
            "notifications/subscriptions/acknowledged" => Self::Acknowledged,
            "notifications/cancelled" => Self::Cancelled,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn target_of(method: &str, params: &str) -> Result<Target, &'static str> {
        let params = parse(params.as_bytes()).unwrap();
        target(Asks::of(method).unwrap(), method, params.as_object())
    }

    #[test]
    fn a_call_means_one_thing_to_every_parser() {
        assert_eq!(
            target_of("tools/call", r#"{"name":"read","arguments":{}}"#),
            Ok(Target::Tool("read".into()))
        );
        for params in [
            r#"{"name":"read","Name":"write"}"#,
            r#"{"Name":"write"}"#,
            r#"{"name":"read","argument\u017f":{}}"#,
            r#"{"name":"read","arguments":{"path":"a","PATH":"b"}}"#,
            r#"{"name":["read"]}"#,
            r#"{"name":"read","arguments":[]}"#,
            "{}",
        ] {
            assert!(target_of("tools/call", params).is_err(), "{params}");
        }
    }

    #[test]
    fn a_completion_is_for_what_it_names() {
        assert_eq!(
            target_of("completion/complete", r#"{"ref":{"type":"ref/resource","uri":"a://b"}}"#),
            Ok(Target::Resource("a://b".into()))
        );
        for params in [
            r#"{"ref":{"type":"ref/prompt","uri":"a://b","name":"x"}}"#,
            r#"{"ref":{"type":"ref/tool","name":"x"}}"#,
            r#"{"ref":{"type":"ref/prompt","name":"x","NAME":"y"}}"#,
            "{}",
        ] {
            assert!(target_of("completion/complete", params).is_err(), "{params}");
        }
    }
}
