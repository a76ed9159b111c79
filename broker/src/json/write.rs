//! Values to bytes, on one line.

use super::{Object, Value, plain};

/// The value on one line, keys in their order and numbers as they were written.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text, Style { order: Order::AsWritten, shows: None });
    text
}

/// The value in the one form that stands for all ways to write it: keys sorted by their bytes, no
/// space. Digests are over this. Numbers keep their text: `1` and `1.0` are two calls, so that an
/// approval of one is none of the other.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text, Style { order: Order::Sorted, shows: None });
    text
}

/// The canonical form, with each letter escaped that is not to be shown. It is the same value.
#[must_use]
pub fn shown(value: &Value, shows: fn(char) -> bool) -> String {
    let mut text = String::new();
    write(value, &mut text, Style { order: Order::Sorted, shows: Some(shows) });
    text
}

#[derive(Clone, Copy)]
struct Style {
    order: Order,
    /// Which letters are written as they are; nothing where all are that may be.
    shows: Option<fn(char) -> bool>,
}

#[derive(Clone, Copy)]
enum Order {
    AsWritten,
    Sorted,
}

fn write(value: &Value, to: &mut String, style: Style) {
    match value {
        Value::Null => to.push_str("null"),
        Value::Bool(true) => to.push_str("true"),
        Value::Bool(false) => to.push_str("false"),
        Value::Number(number) => to.push_str(number.text()),
        Value::String(text) => quote(text, to, style.shows),
        Value::Array(list) => {
            to.push('[');
            for (place, value) in list.iter().enumerate() {
                if place > 0 {
                    to.push(',');
                }
                write(value, to, style);
            }
            to.push(']');
        }
        Value::Object(object) => entries(object, to, style),
    }
}

fn entries(object: &Object, to: &mut String, style: Style) {
    let mut entries: Vec<_> = object.iter().collect();
    if matches!(style.order, Order::Sorted) {
        entries.sort_unstable_by_key(|(key, _)| *key);
    }
    to.push('{');
    for (place, (key, value)) in entries.into_iter().enumerate() {
        if place > 0 {
            to.push(',');
        }
        quote(key, to, style.shows);
        to.push(':');
        write(value, to, style);
    }
    to.push('}');
}

fn quote(text: &str, to: &mut String, shows: Option<fn(char) -> bool>) {
    to.push('"');
    let mut rest = text;
    while let Some(place) = escaped(rest, shows) {
        let (plain, after) = rest.split_at(place);
        to.push_str(plain);
        let mut letters = after.chars();
        letters.by_ref().take(1).for_each(|letter| escape(letter, to));
        rest = letters.as_str();
    }
    to.push_str(rest);
    to.push('"');
}

/// Where the first letter is that does not stand for itself.
fn escaped(text: &str, shows: Option<fn(char) -> bool>) -> Option<usize> {
    let Some(shows) = shows else {
        return Some(plain(text.as_bytes())).filter(|place| *place < text.len());
    };
    let stays = |letter| letter >= ' ' && !matches!(letter, '"' | '\\') && shows(letter);
    text.char_indices().find(|(_, letter)| !stays(*letter)).map(|(place, _)| place)
}

/// As JSON has it: by a letter of its own, or by its number; what is beyond the first plane, in two halves.
fn escape(letter: char, to: &mut String) {
    const HEX: &[char; 16] =
        &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let own = match letter {
        '"' | '\\' => Some(letter),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\u{8}' => Some('b'),
        '\u{c}' => Some('f'),
        _ => None,
    };
    if let Some(own) = own {
        to.push('\\');
        return to.push(own);
    }
    for half in letter.encode_utf16(&mut [0; 2]) {
        to.push_str("\\u");
        for shift in [12, 8, 4, 0] {
            let digit = usize::from((*half >> shift) & 15);
            to.push(HEX.get(digit).copied().unwrap_or('0'));
        }
    }
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
    fn what_is_not_to_be_shown_is_escaped_and_stays_the_same_value() {
        let value = parse("{\"é\":\"a\u{1f600}\u{7f}\"}".as_bytes()).unwrap();
        let ascii = shown(&value, |letter| matches!(letter, ' '..='~'));
        assert_eq!(ascii, r#"{"\u00e9":"a\ud83d\ude00\u007f"}"#);
        assert_eq!(parse(ascii.as_bytes()).unwrap(), value);
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let value = parse(b"\"\\n\\u0000\\u001f\\\\\"").unwrap();
        assert_eq!(text(&value), r#""\n\u0000\u001f\\""#);
    }
}
