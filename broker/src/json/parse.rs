//! Bytes to values. RFC 8259 and nothing beyond it.
//!
//! Two parsers that read the same bytes differently are a hole in every rule about them. So what
//! parsers are known to differ about is refused: a key that is there twice, half a surrogate pair,
//! bytes that are no UTF-8, a byte order mark.

use super::{Key, Number, Object, Value, key, plain};
use std::{borrow::Cow, collections::HashSet, fmt};

/// How many lists and objects may lie in each other.
pub const DEPTH: usize = 64;

/// How many values a message may have.
pub const NODES: usize = 50_000;

/// How many keys are compared each with each, before a set is worth its allocation.
const FEW: usize = 8;

/// Why bytes are not JSON that is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonError {
    /// It is not JSON.
    Syntax,
    /// It is not UTF-8.
    Utf8,
    /// Lists and objects lie too deep in each other.
    Depth,
    /// There are too many values.
    Nodes,
    /// A key is there twice.
    DuplicateKey,
}

impl fmt::Display for JsonError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => to.write_str("not JSON"),
            Self::Utf8 => to.write_str("not UTF-8"),
            Self::Depth => write!(to, "more than {DEPTH} nested lists and objects"),
            Self::Nodes => write!(to, "more than {NODES} values"),
            Self::DuplicateKey => to.write_str("a key occurs twice"),
        }
    }
}

impl std::error::Error for JsonError {}

/// The one value in these bytes.
///
/// # Errors
/// Where there is none, or something beside it, or it is one of those that are refused.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Utf8)?;
    let mut reader = Reader { text, at: 0, nodes: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() { Err(JsonError::Syntax) } else { Ok(value) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
        }
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(JsonError::Syntax) }
    }

    fn since(&self, start: usize) -> Result<&'t str, JsonError> {
        self.text.get(start..self.at).ok_or(JsonError::Syntax)
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.nodes += 1;
        if self.nodes > NODES {
            return Err(JsonError::Nodes);
        }
        self.space();
        match self.peek().ok_or(JsonError::Syntax)? {
            b'{' | b'[' if depth == DEPTH => Err(JsonError::Depth),
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => Ok(Value::String(self.string()?.into_owned())),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        let rest = self.text.get(self.at..).ok_or(JsonError::Syntax)?;
        if !rest.starts_with(word) {
            return Err(JsonError::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(JsonError::Syntax) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(Value::Number(Number(self.since(start)?.into())))
    }

    /// A string, as it lies there where nothing in it is escaped.
    fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        self.expect(b'"')?;
        let mut text = Cow::Borrowed("");
        loop {
            let start = self.at;
            self.at += plain(self.text.as_bytes().get(start..).unwrap_or_default());
            text += self.since(start)?;
            if self.take(b'"') {
                return Ok(text);
            }
            self.expect(b'\\')?;
            text.to_mut().push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let letter = self.peek().ok_or(JsonError::Syntax)?;
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(JsonError::Syntax),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(JsonError::Syntax);
        }
        self.expect(b'\\')?;
        self.expect(b'u')?;
        let second = self.hex()?;
        if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
            return Err(JsonError::Syntax);
        }
        let both = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(both).ok_or(JsonError::Syntax)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let start = self.at;
        self.at += 4;
        let digits = self.since(start)?;
        // `from_str_radix` would take a sign.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(JsonError::Syntax);
        }
        u32::from_str_radix(digits, 16).map_err(|_| JsonError::Syntax)
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.expect(b'[')?;
        let mut list = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Array(list));
        }
        loop {
            list.push(self.value(depth)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::Array(list));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.expect(b'{')?;
        let mut entries = Vec::new();
        self.space();
        if !self.take(b'}') {
            loop {
                self.space();
                let key = key(self.string()?);
                self.space();
                self.expect(b':')?;
                entries.push((key, self.value(depth)?));
                self.space();
                if self.take(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        if repeats(&entries) {
            return Err(JsonError::DuplicateKey);
        }
        Ok(Value::Object(Object(entries)))
    }
}

/// Whether a key occurs twice, its escapes resolved.
fn repeats(entries: &[(Key, Value)]) -> bool {
    if entries.len() <= FEW {
        let mut rest = entries;
        while let [(key, _), after @ ..] = rest {
            if after.iter().any(|(other, _)| other == key) {
                return true;
            }
            rest = after;
        }
        return false;
    }
    let mut seen = HashSet::with_capacity(entries.len());
    !entries.iter().all(|(key, _)| seen.insert(key.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::text;

    #[test]
    fn numbers_and_the_order_of_keys_are_kept() {
        for json in [
            r#"{"b":1,"a":[1.0,1e2,-0,0.10,12345678901234567890123,1E+5]}"#,
            r#"{"z":{},"y":[],"x":"","w":null,"v":true,"u":false}"#,
            r#"["\"\\/\b\f\n\r\té😀"]"#,
        ] {
            let value = parse(json.as_bytes()).unwrap();
            assert_eq!(parse(text(&value).as_bytes()).unwrap(), value);
        }
        let kept = r#"{"b":1.0,"a":[1e2,-0,12345678901234567890123]}"#;
        assert_eq!(text(&parse(kept.as_bytes()).unwrap()), kept);
    }

    #[test]
    fn what_parsers_differ_about_is_refused() {
        let duplicate = [
            r#"{"name":1,"name":2}"#,
            r#"{"a":{"n\u0061me":1,"name":2}}"#,
            r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"a":2}"#,
        ];
        for json in duplicate {
            assert_eq!(parse(json.as_bytes()), Err(JsonError::DuplicateKey), "{json}");
        }
        for json in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "'a'",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "NaN",
            "-",
            "[1] 2",
            "\"\n\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"\\u+123\"",
            "\u{feff}{}",
            "/**/1",
            "tru",
            "\"",
            "{\"a\"}",
            "[",
            "\"\\u12\"",
            "nullx",
        ] {
            assert_eq!(parse(json.as_bytes()), Err(JsonError::Syntax), "{json:?}");
        }
        assert_eq!(parse(b"\"\xff\""), Err(JsonError::Utf8));
        assert_eq!(parse(b"\"\xed\xa0\x80\""), Err(JsonError::Utf8));
    }

    #[test]
    fn what_is_escaped_is_seen_wherever_it_stands() {
        for place in 0..200 {
            for letter in ["\"", "\\", "\n", "\u{1f}"] {
                let whole = "x".repeat(place) + letter + &"y".repeat(place % 70);
                let json = serde_json::to_string(&whole).unwrap();
                let value = parse(json.as_bytes()).unwrap();
                assert_eq!(value.as_str(), Some(whole.as_str()));
                assert_eq!(text(&value), json);
            }
        }
    }

    #[test]
    fn depth_and_number_of_values_end_somewhere() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(nested(DEPTH + 1).as_bytes()), Err(JsonError::Depth));
        assert_eq!(parse("[".repeat(1_000_000).as_bytes()), Err(JsonError::Depth));
        let many = |count| format!("[{}0]", "0,".repeat(count - 2));
        assert!(parse(many(NODES).as_bytes()).is_ok());
        assert_eq!(parse(many(NODES + 1).as_bytes()), Err(JsonError::Nodes));
    }
}
