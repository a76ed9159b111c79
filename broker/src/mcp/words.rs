//! The definition of a tool in lines for people: what it says to a model, and what its arguments must be. Keys are
//! in one order, so that two versions differ in the lines that differ; a letter that a terminal might act on
//! is escaped, and a text of the tool's is between quotation marks wherever a line begins.

use crate::json::{Object, Value, shown};
use sandboxd_broker_plan::words::MOST;

/// What comes first, because a model reads it.
const FIRST: &[&str] = &["name", "title", "description", "inputSchema", "outputSchema"];
/// How long a line of a text gets.
const WIDTH: usize = 100;

/// All of a definition but `_meta`, as its digest is over; nothing where that is longer than is kept, which is
/// found out without making it: a tool may say megabytes.
#[must_use]
pub fn words(definition: &Object) -> String {
    let mut lines = String::new();
    let first = FIRST.iter().filter_map(|key| Some((*key, definition.get(key)?)));
    let is_rest = |key: &str| key != "_meta" && !FIRST.contains(&key);
    let mut rest: Vec<_> = definition.iter().filter(|(key, _)| is_rest(key)).collect();
    rest.sort_unstable_by_key(|(key, _)| *key);
    for (key, value) in first.chain(rest) {
        entry(&ascii(&key.into()), value, 0, &mut lines);
    }
    if lines.len() > MOST { String::new() } else { lines }
}

fn ascii(value: &Value) -> String {
    shown(value, |letter| matches!(letter, ' '..='~'))
}

/// What stands behind a word: on its line, or below.
fn entry(word: &str, value: &Value, depth: usize, lines: &mut String) {
    if lines.len() > MOST {
        return;
    }
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(object) if !object.is_empty() => {
            lines.push_str(&format!("{indent}{word}:\n"));
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in entries {
                entry(&ascii(&key.into()), value, depth + 1, lines);
            }
        }
        Value::Array(list) if list.iter().any(|one| !is_short(one)) => {
            lines.push_str(&format!("{indent}{word}:\n"));
            list.iter().for_each(|one| entry("-", one, depth + 1, lines));
        }
        Value::String(text) if !is_short(value) => {
            lines.push_str(&format!("{indent}{word}:\n"));
            for piece in pieces(text) {
                if lines.len() > MOST {
                    return;
                }
                lines.push_str(&format!("{indent}  {}\n", ascii(&piece.into())));
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => lines.push_str(&format!("{indent}{word}: {}\n", ascii(value))),
    }
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= WIDTH && !text.contains('\n'),
        Value::Object(object) => object.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// A text in pieces of a line each: they end with its own lines, and between its words.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let near = rest.as_bytes().get(..WIDTH.min(rest.len())).unwrap_or_default();
        let at = match near.iter().position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if rest.len() <= WIDTH => rest.len(),
            None => {
                let near = (0..=WIDTH).rev().find(|at| rest.is_char_boundary(*at));
                let most = near.unwrap_or(rest.len());
                let head = rest.get(..most).unwrap_or_default();
                head.rfind(' ').map_or(most, |space| space + 1)
            }
        };
        let (piece, after) = rest.split_at(at);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn of(text: &str) -> String {
        words(parse(text.as_bytes()).unwrap().as_object().unwrap())
    }

    #[test]
    fn a_definition_is_read_line_by_line() {
        let said = of(
            r#"{"inputSchema":{"type":"object","required":["b","a"],"anyOf":[{"x":1.0},2],"properties":{}},
            "_meta":{"x":1},"annotations":{"readOnlyHint":true},"name":"read","description":"Reads.\nThen \u001b[31mdies: é"}"#,
        );
        let wanted = r#""name": "read"
"description":
  "Reads.\n"
  "Then \u001b[31mdies: \u00e9"
"inputSchema":
  "anyOf":
    -:
      "x": 1.0
    -: 2
  "properties": {}
  "required": ["b","a"]
  "type": "object"
"annotations":
  "readOnlyHint": true
"#;
        assert_eq!(said, wanted);
    }

    #[test]
    fn a_tool_that_says_megabytes_costs_no_more_than_is_kept() {
        for text in ["\\n".repeat(4 << 20), "x".repeat(8 << 20), "x ".repeat(4 << 20)] {
            assert_eq!(of(&format!(r#"{{"name":"a","description":"{text}","b":1}}"#)), "");
        }
    }

    #[test]
    fn no_text_of_a_tool_begins_a_line_that_looks_like_another_or_acts_on_a_terminal() {
        let long = "word ".repeat(50);
        let said = of(&format!(
            r#"{{"name":"a\nannotations: none\n","description":"{long}","ev\nil: 1":"\u009b\u202e\u007f"}}"#
        ));
        assert!(said.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "{said}");
        let begins =
            |line: &str| line.trim_start().starts_with('"') || line.trim_start().starts_with('-');
        assert!(said.lines().all(begins), "{said}");
        assert!(said.lines().all(|line| line.len() < 2 * WIDTH), "{said}");
        let text: String = said
            .lines()
            .filter(|line| line.contains("word"))
            .map(|line| line.trim().trim_matches('"').to_owned())
            .collect();
        assert_eq!(text, long, "nothing is left out");
    }
}
