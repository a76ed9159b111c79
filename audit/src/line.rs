//! A record as a line: JSON whose last member is its hash. What is hashed is the bytes of the line up
//! to that member, so that nobody need agree on how JSON is written.

use crate::chain::Hash;
use crate::record::Record;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the format.
pub const VERSION: u32 = 1;
/// Bytes of a line, its end among them; longer ones are no records.
pub const MOST: usize = 256 << 10;
/// What stands before the hash.
const BEFORE: &str = ",\"h\":\"";
/// What stands from there on: the hash, a quote, a brace.
const TAIL: usize = BEFORE.len() + 64 + 2;

#[derive(Serialize)]
struct Body<'a> {
    v: u32,
    seq: u64,
    ts: &'a str,
    #[serde(flatten)]
    record: &'a Record,
    prev: String,
}

/// Adds the line of a record, with its end, to those before it, and gives the record's hash. `at` is
/// [`Stamp::text`](crate::time::Stamp::text).
pub(crate) fn write(
    seq: u64,
    at: &str,
    record: &Record,
    prev: Hash,
    lines: &mut Vec<u8>,
) -> Result<Hash, serde_json::Error> {
    let from = lines.len();
    let body = Body { v: VERSION, seq, ts: at, record, prev: prev.to_string() };
    serde_json::to_writer(&mut *lines, &body)?;
    // Its hash is its last member.
    lines.pop();
    let hash = Hash::of(prev, lines.get(from..).unwrap_or_default());
    for part in [BEFORE, &hash.to_string(), "\"}\n"] {
        lines.extend_from_slice(part.as_bytes());
    }
    Ok(hash)
}

/// A record that was read and is what it was when it was written, or was forged whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Line {
    /// Version of the format.
    pub v: u32,
    /// Its number.
    pub seq: u64,
    /// When.
    pub ts: String,
    /// What it is about; a kind that is not known is a newer one.
    pub kind: String,
    /// The hash of the record before.
    prev: Hash,
    /// Its own.
    h: Hash,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
    /// The line itself, without its end.
    #[serde(skip)]
    pub text: String,
}

impl Line {
    /// From the bytes of a line, without its end; nothing where they do not belong to their hash.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() < MOST)?;
        let body = text.get(..text.len().checked_sub(TAIL)?)?;
        let hash = text.get(body.len()..)?.strip_prefix(BEFORE)?.strip_suffix("\"}")?;
        let mut line: Self = serde_json::from_str(text).ok()?;
        text.clone_into(&mut line.text);
        let own = Hash::of(line.prev, body.as_bytes());
        let whole = line.v == VERSION && Hash::parse(hash) == Some(own) && line.h == own;
        whole.then_some(line)
    }

    /// The hash of the record before.
    #[must_use]
    pub const fn prev(&self) -> Hash {
        self.prev
    }

    /// Its own hash.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.h
    }

    /// What the log says of itself in it.
    #[must_use]
    pub fn detail<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.rest.get("detail")?.clone()).ok()
    }

    /// A member, by a path of names: `/actor/agent`.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path.trim_start_matches('/'), ""));
        let value = self.rest.get(first)?;
        if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
    }

    /// A text among them.
    #[must_use]
    pub fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).and_then(Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Actor, Kind};
    use crate::time::Stamp;

    fn line() -> (String, Hash) {
        let mut record = Record::of(Kind::Started);
        record.actor = Some(Actor { agent: "build".into(), uid: Some(70_001), ..Actor::default() });
        record.method = Some("/usr/bin/make \"h\":\"".into());
        let (at, mut lines) = (Stamp(1_795_618_862_123).text(), b"before\n".to_vec());
        let hash = write(3, &at, &record, Hash([7; 32]), &mut lines).unwrap();
        let text = String::from_utf8(lines).unwrap();
        (text.strip_prefix("before\n").unwrap().to_owned(), hash)
    }

    #[test]
    fn a_line_reads_as_it_was_written() {
        let (text, hash) = line();
        let read = Line::read(text.trim_end().as_bytes()).unwrap();
        assert_eq!((read.seq, read.hash(), read.prev()), (3, hash, Hash([7; 32])));
        assert_eq!(read.ts, "2026-11-25T15:01:02.123Z");
        assert_eq!(read.kind, Kind::Started.name());
        assert_eq!(read.text_at("/actor/agent"), Some("build"));
        assert_eq!(read.at("/actor/uid"), Some(&Value::from(70_001)));
    }

    #[test]
    fn no_flipped_bit_and_no_missing_byte_of_a_line_goes_unnoticed() {
        let (text, _) = line();
        let bytes = text.trim_end().as_bytes();
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(Line::read(&flipped), None, "bit {at}");
        }
        for end in 0..bytes.len() {
            assert_eq!(Line::read(&bytes[..end]), None, "{end} bytes");
            assert_eq!(Line::read(&bytes[bytes.len() - end..]), None, "the last {end} bytes");
        }
    }
}
