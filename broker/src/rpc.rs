//! The envelope of JSON-RPC 2.0: what kind of message it is and whom it answers. The rest of it stays
//! as it was.

use crate::json::{Number, Object, Value};
use std::borrow::Cow;

/// The most bytes of an id or a progress token.
const ID: usize = 256;

/// The keys of an envelope.
const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];

/// What a request is answered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// An integer, as it was written.
    Integer(String),
    /// A string.
    Text(String),
}

impl Id {
    /// The id that a value is; a fraction, `null` and what is too long are none.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) if number.is_integer() && number.text().len() <= ID => {
                Some(Self::Integer(number.text().to_owned()))
            }
            Value::String(text) if text.len() <= ID => Some(Self::Text(text.clone())),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// The number of one that the broker gave out itself.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        if let Self::Integer(text) = self { text.parse().ok() } else { None }
    }
}

impl From<Id> for Value {
    fn from(id: Id) -> Self {
        match id {
            Id::Integer(text) => Self::Number(Number::written(text)),
            Id::Text(text) => Self::String(text),
        }
    }
}

/// A message, whole.
#[derive(Debug)]
pub struct Message {
    /// Which kind.
    pub kind: Kind,
    /// All of it, this kind's keys among them.
    pub body: Object,
}

/// The three kinds of message.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wants an answer.
    Request {
        /// What the answer carries.
        id: Id,
        /// What is wanted.
        method: String,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: String,
    },
    /// Is an answer.
    Response {
        /// To which request.
        id: Id,
    },
}

/// Why a value is no message, and the id to say so with.
#[derive(Debug, PartialEq, Eq)]
pub struct EnvelopeError {
    /// What is wrong.
    pub what: &'static str,
    /// The id of the request, where it had one.
    pub id: Option<Id>,
}

/// The message that a value is.
///
/// # Errors
/// Where it is not exactly one of the three kinds.
pub fn message(value: Value) -> Result<Message, EnvelopeError> {
    let Value::Object(body) = value else {
        return Err(EnvelopeError { what: "a message is an object", id: None });
    };
    let id = body.get("id").map(Id::of);
    let wrong = |what| Err(EnvelopeError { what, id: id.clone().flatten() });
    if body.str("jsonrpc") != Some("2.0") {
        return wrong("jsonrpc must be \"2.0\"");
    }
    if ambiguous(&body, ENVELOPE) {
        return wrong("keys must not differ only in case");
    }
    if matches!(id, Some(None)) {
        return wrong("an id is an integer or a string, and not long");
    }
    let answers = [body.get("result"), body.get("error")].iter().flatten().count();
    let kind = match (body.get("method"), id.clone().flatten(), answers) {
        (Some(Value::String(method)), Some(id), 0) => Kind::Request { id, method: method.clone() },
        (Some(Value::String(method)), None, 0) => Kind::Notification { method: method.clone() },
        (None, Some(id), 1) => Kind::Response { id },
        _ => return wrong("a message has a method, or an id and one of result and error"),
    };
    if let Some(params) = body.get("params")
        && !matches!(params, Value::Object(_) | Value::Array(_))
    {
        return wrong("params must be an object or a list");
    }
    Ok(Message { kind, body })
}

/// Whether an object has two keys that differ in case alone, or one that differs so from a key that
/// is meant: parsers that ignore case (Go's does) would read another message than was checked.
#[must_use]
pub fn ambiguous(object: &Object, meant: &[&str]) -> bool {
    let mut keys: Vec<(Cow<'_, str>, &str)> =
        object.iter().map(|(key, _)| (fold(key), key)).collect();
    keys.sort_unstable();
    // Those that are meant are ASCII, and what is folded has no upper case any more.
    let differs = |folded: &str, key: &str| {
        meant.iter().any(|meant| key != *meant && meant.eq_ignore_ascii_case(folded))
    };
    keys.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other))
        || keys.iter().any(|(folded, key)| differs(folded, key))
}

/// A key without its case. Upper first: `ſ` and `K` have an `S` and a `k` that they fold to.
fn fold(key: &str) -> Cow<'_, str> {
    if !key.is_ascii() {
        return key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    }
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return key.to_ascii_lowercase().into();
    }
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn read(text: &str) -> Result<Kind, &'static str> {
        message(parse(text.as_bytes()).unwrap()).map(|message| message.kind).map_err(|e| e.what)
    }

    #[test]
    fn a_message_is_exactly_one_of_three_kinds() {
        let id = Id::Integer("1".into());
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
            Ok(Kind::Request { id: id.clone(), method: "ping".into() })
        );
        assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"result":null}"#), Ok(Kind::Response { id }));
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","method":"x","params":[]}"#),
            Ok(Kind::Notification { method: "x".into() })
        );
        for text in [
            "[]",
            "1",
            "null",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":1}"#,
            r#"{"jsonrpc":"2.0","result":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(257));
        assert!(read(&long).is_err());
    }

    #[test]
    fn a_key_that_differs_in_case_alone_is_refused() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","PARAMS":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","param\u017f":{}}"#,
            r#"{"jsonrpc":"2.0","method":"x","ID":1}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(r#"{"jsonrpc":"2.0","id":1,"method":"x","extra":1}"#).is_ok());
    }
}
