//! Values to bytes, on one line.

use super::{Object, Value, plain};
use sha2::{Digest as _, Sha256};

/// The value on one line, keys in their order and numbers as they were written.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut text = String::with_capacity(room(value));
    write(value, &mut text, Style { order: Order::AsWritten, shows: None });
    text
}

/// How many bytes a value takes where nothing in it is escaped.
fn room(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => "false".len(),
        Value::Number(number) => number.text().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|value| room(value) + 1).sum::<usize>(),
        Value::Object(object) => {
            2 + object.iter().map(|(key, value)| key.len() + room(value) + 4).sum::<usize>()
        }
    }
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

/// SHA-256 over the canonical form, as it would be without these keys of the value itself.
#[must_use]
pub fn digest(value: &Value, without: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    let style = Style { order: Order::Sorted, shows: None };
    match value.as_object() {
        Some(object) => {
            let kept = object.iter().filter(|(key, _)| !without.contains(key));
            entries(kept, &mut digest, style);
        }
        None => write(value, &mut digest, style),
    }
    digest.finalize().into()
}

/// The canonical form, with each letter escaped that is not to be shown. It is the same value.
#[must_use]
pub fn shown(value: &Value, shows: fn(char) -> bool) -> String {
    let mut text = String::new();
    write(value, &mut text, Style { order: Order::Sorted, shows: Some(shows) });
    text
}

/// The text of an object in three parts: what is before the value that these keys lead to, that value, and what is
/// after it. Nothing where they lead nowhere.
#[must_use]
pub fn around(object: &Object, keys: &[&str]) -> Option<[String; 3]> {
    let (wanted, deeper) = keys.split_first()?;
    object.get(wanted)?;
    let style = Style { order: Order::AsWritten, shows: None };
    let mut parts = [String::from("{"), String::new(), String::new()];
    let (mut passed, mut first) = (false, true);
    for (key, value) in object.iter() {
        let [before, within, after] = &mut parts;
        let to = if passed { &mut *after } else { &mut *before };
        if !std::mem::replace(&mut first, false) {
            to.push(',');
        }
        quote(key, to, style.shows);
        to.push(':');
        if key != *wanted {
            write(value, to, style);
            continue;
        }
        passed = true;
        if deeper.is_empty() {
            write(value, within, style);
        } else {
            let [head, value, tail] = around(value.as_object()?, deeper)?;
            before.push_str(&head);
            (*within, *after) = (value, tail);
        }
    }
    let [_, _, after] = &mut parts;
    after.push('}');
    Some(parts)
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

/// What a value is written to, piece by piece.
trait Sink {
    fn put(&mut self, text: &str);
}

impl Sink for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

impl Sink for Sha256 {
    fn put(&mut self, text: &str) {
        self.update(text);
    }
}

fn write(value: &Value, to: &mut impl Sink, style: Style) {
    match value {
        Value::Null => to.put("null"),
        Value::Bool(true) => to.put("true"),
        Value::Bool(false) => to.put("false"),
        Value::Number(number) => to.put(number.text()),
        Value::String(text) => quote(text, to, style.shows),
        Value::Array(list) => {
            to.put("[");
            for (place, value) in list.iter().enumerate() {
                if place > 0 {
                    to.put(",");
                }
                write(value, to, style);
            }
            to.put("]");
        }
        Value::Object(object) => entries(object.iter(), to, style),
    }
}

fn entries<'v>(
    entries: impl Iterator<Item = (&'v str, &'v Value)>,
    to: &mut impl Sink,
    style: Style,
) {
    to.put("{");
    let mut first = true;
    let mut each = |(key, value): (&str, &Value)| {
        if !std::mem::take(&mut first) {
            to.put(",");
        }
        quote(key, to, style.shows);
        to.put(":");
        write(value, to, style);
    };
    match style.order {
        Order::AsWritten => entries.for_each(each),
        Order::Sorted => {
            let mut entries: Vec<_> = entries.collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            entries.into_iter().for_each(&mut each);
        }
    }
    to.put("}");
}

fn quote(text: &str, to: &mut impl Sink, shows: Option<fn(char) -> bool>) {
    to.put("\"");
    let mut rest = text;
    while let Some(place) = escaped(rest, shows) {
        let (plain, after) = rest.split_at(place);
        to.put(plain);
        let mut letters = after.chars();
        letters.by_ref().take(1).for_each(|letter| escape(letter, to));
        rest = letters.as_str();
    }
    to.put(rest);
    to.put("\"");
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
fn escape(letter: char, to: &mut impl Sink) {
    const HEX: &[&str; 16] =
        &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
    let own = match letter {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        '\t' => Some("\\t"),
        '\u{8}' => Some("\\b"),
        '\u{c}' => Some("\\f"),
        _ => None,
    };
    if let Some(own) = own {
        return to.put(own);
    }
    for half in letter.encode_utf16(&mut [0; 2]) {
        to.put("\\u");
        for shift in [12, 8, 4, 0] {
            let digit = usize::from((*half >> shift) & 15);
            to.put(HEX.get(digit).copied().unwrap_or("0"));
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
    fn a_digest_is_of_the_canonical_form_of_what_is_not_left_out() {
        let value = parse(br#"{"b":[1,{"d":"\n","c":2}],"_meta":{},"a":"A"}"#).unwrap();
        let plain = |text: &str| <[u8; 32]>::from(Sha256::digest(text));
        assert_eq!(digest(&value, &[]), plain(&canonical(&value)));
        let without = r#"{"a":"A","b":[1,{"c":2,"d":"\n"}]}"#;
        assert_eq!(digest(&value, &["_meta", "c", "e"]), plain(without));
        assert_eq!(digest(&Value::Null, &["a"]), plain("null"));
    }

    #[test]
    fn what_is_not_to_be_shown_is_escaped_and_stays_the_same_value() {
        let value = parse("{\"é\":\"a\u{1f600}\u{7f}\"}".as_bytes()).unwrap();
        let ascii = shown(&value, |letter| matches!(letter, ' '..='~'));
        assert_eq!(ascii, r#"{"\u00e9":"a\ud83d\ude00\u007f"}"#);
        assert_eq!(parse(ascii.as_bytes()).unwrap(), value);
    }

    #[test]
    fn the_parts_around_a_value_are_the_whole_text() {
        let whole = br#"{"a":[1],"p":{"x":"y","args":{"k":"v"},"z":{"args":2}},"b":"c"}"#;
        let value = parse(whole).unwrap();
        let object = value.as_object().unwrap();
        let parts = around(object, &["p", "args"]).unwrap();
        assert_eq!((parts.concat(), parts[1].as_str()), (text(&value), r#"{"k":"v"}"#));
        assert_eq!(around(object, &["b"]).unwrap().concat(), text(&value));
        for nowhere in [&["x"][..], &["p", "none"], &["a", "args"], &[]] {
            assert_eq!(around(object, nowhere), None);
        }
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let value = parse(b"\"\\n\\u0000\\u001f\\\\\"").unwrap();
        assert_eq!(text(&value), r#""\n\u0000\u001f\\""#);
    }
}
