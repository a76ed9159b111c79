//! Values to bytes, on one line.

use super::{Object, Value};

/// The value on one line, keys in their order and numbers as they were written.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text, Order::AsWritten);
    text
}

/// The value in the one form that stands for all ways to write it: keys sorted by their bytes, no
/// space. Digests are over this. Numbers keep their text: `1` and `1.0` are two calls, so that an
/// approval of one is none of the other.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text, Order::Sorted);
    text
}

#[derive(Clone, Copy)]
enum Order {
    AsWritten,
    Sorted,
}

fn write(value: &Value, to: &mut String, order: Order) {
    match value {
        Value::Null => to.push_str("null"),
        Value::Bool(true) => to.push_str("true"),
        Value::Bool(false) => to.push_str("false"),
        Value::Number(number) => to.push_str(number.text()),
        Value::String(text) => quote(text, to),
        Value::Array(list) => {
            to.push('[');
            for (place, value) in list.iter().enumerate() {
                if place > 0 {
                    to.push(',');
                }
                write(value, to, order);
            }
            to.push(']');
        }
        Value::Object(object) => entries(object, to, order),
    }
}

fn entries(object: &Object, to: &mut String, order: Order) {
    let mut entries: Vec<_> = object.iter().collect();
    if matches!(order, Order::Sorted) {
        entries.sort_unstable_by_key(|(key, _)| *key);
    }
    to.push('{');
    for (place, (key, value)) in entries.into_iter().enumerate() {
        if place > 0 {
            to.push(',');
        }
        quote(key, to);
        to.push(':');
        write(value, to, order);
    }
    to.push('}');
}

fn quote(text: &str, to: &mut String) {
    const HEX: &[char; 16] =
        &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    to.push('"');
    for letter in text.chars() {
        match letter {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '\0'..='\u{1f}' => {
                to.push_str("\\u00");
                for shift in [4, 0] {
                    let digit = usize::try_from((u32::from(letter) >> shift) & 15).unwrap_or(0);
                    to.push(HEX.get(digit).copied().unwrap_or('0'));
                }
            }
            _ => to.push(letter),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn two_ways_to_write_a_value_have_one_canonical_form() {
        let one = parse(b"{\"b\":[1,{\"d\":1,\"c\":2}],\"a\":\"\\u0041\"}").unwrap();
        let two = parse(b" { \"a\" : \"A\" , \"b\" : [1,{\"c\":2,\"d\":1}] } ").unwrap();
        assert_eq!(canonical(&one), canonical(&two));
        assert_eq!(canonical(&one), r#"{"a":"A","b":[1,{"c":2,"d":1}]}"#);
        assert_ne!(canonical(&parse(b"1").unwrap()), canonical(&parse(b"1.0").unwrap()));
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let value = parse(b"\"\\n\\u0000\\u001f\\\\\"").unwrap();
        assert_eq!(text(&value), r#""\n\u0000\u001f\\""#);
    }
}
