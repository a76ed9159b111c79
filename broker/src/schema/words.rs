//! What is said of what is wrong, in short: whoever wrote a schema does not say how much is written to whom.

use crate::json::{Value, canonical};

/// How much of a name, a pattern or a value.
const MOST: usize = 200;

/// The beginning of a text.
pub(super) fn said(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= MOST);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// A value that is allowed.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => canonical(&said(text).into()),
        Value::Number(number) => said(number.text()).to_owned(),
        Value::Null | Value::Bool(_) => canonical(value),
    }
}
