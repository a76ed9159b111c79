//! JSON as it was written: the order of keys and the text of numbers are kept, so that what was
//! checked is what is passed on. No key twice, no depth and no number of values without end.
//!
//! [`parse`] reads, [`write`] writes; here are the values between.

mod parse;
mod write;

use std::{borrow::Cow, collections::BTreeMap};

pub use parse::{DEPTH, JsonError, NODES, parse};
pub use write::{around, canonical, digest, shown, text};

/// How many bytes from the first on stand for themselves in a string: no quotation mark, no backslash, nothing
/// below a space. Sixty-four are looked at together, because strings are most of what is carried, but for the
/// first few: most strings are short.
fn plain(bytes: &[u8]) -> usize {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let has = |piece: &[u8]| piece.iter().fold(false, |found, byte| found | special(byte));
    let (few, many) = bytes.split_at(bytes.len().min(16));
    if let Some(place) = few.iter().position(special) {
        return place;
    }
    let passed: usize = many.chunks(64).take_while(|piece| !has(piece)).map(<[u8]>::len).sum();
    let rest = many.get(passed..).unwrap_or_default();
    few.len() + passed + rest.iter().position(special).unwrap_or(rest.len())
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as it was written.
    Number(Number),
    /// A string, without its escapes.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Keys and values.
    Object(Object),
}

/// The text of a number, in JSON's grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(Box<str>);

impl Number {
    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// A number whose text was a number before.
    pub(crate) fn written(text: String) -> Self {
        Self(text.into())
    }

    /// Whether it was written without fraction and exponent.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        !self.0.contains(['.', 'e', 'E'])
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(number.to_string().into())
    }
}

/// The key of an entry.
type Key = Cow<'static, str>;

/// Keys of messages, which take no memory of their own.
const KNOWN: &[&str] = &[
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "arguments",
    "_meta",
    "content",
    "type",
    "text",
    "isError",
    "structuredContent",
    "code",
    "message",
];

/// The key with these letters.
fn key(letters: Cow<'_, str>) -> Key {
    match KNOWN.iter().find(|known| **known == letters) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(letters.into_owned()),
    }
}

/// Keys and values in the order in which they were written; no key twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(Vec<(Key, Value)>);

impl Object {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The text of a key.
    #[must_use]
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Gives a key this value, at its place where it is there and at the end where not.
    pub fn set(&mut self, key: &str, value: Value) {
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => self.0.push((self::key(key.into()), value)),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let place = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(place).1)
    }

    /// Changes the object under a key; one without entries takes the place of what is no object.
    pub fn change(&mut self, key: &str, change: impl FnOnce(&mut Self)) {
        let mut object = match self.get_mut(key) {
            Some(Value::Object(object)) => std::mem::take(object),
            _ => Self::default(),
        };
        change(&mut object);
        self.set(key, Value::Object(object));
    }

    /// Keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// Keeps those entries for which this holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Value) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// The same, changed as [`Value::with_texts`] says. A key that another has by then gets a number: nothing is
    /// left out.
    #[must_use]
    pub fn with_texts(self, change: &impl Fn(&str) -> Option<String>) -> Self {
        let changed: Vec<_> = self.0.iter().map(|(key, _)| change(key)).collect();
        let mut taken = BTreeMap::new();
        if changed.iter().any(Option::is_some) {
            let kept = self.0.iter().zip(&changed).filter(|(_, changed)| changed.is_none());
            taken = kept.map(|((key, _), _)| (key.to_string(), 1)).collect();
        }
        let entries = self.0.into_iter().zip(changed).map(|((key, value), changed)| {
            let key = changed.map_or(key, |name| self::key(apart(name, &mut taken).into()));
            (key, value.with_texts(change))
        });
        Self(entries.collect())
    }

    /// About how many bytes of memory its keys and values take.
    #[must_use]
    pub fn weight(&self) -> usize {
        let key = |key: &Key| std::mem::size_of::<Key>() + key.len();
        self.0.iter().map(|(known, value)| key(known) + value.weight()).sum()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// This name, with a number behind it where it is taken: of each, how often it was wanted.
fn apart(name: String, taken: &mut BTreeMap<String, u64>) -> String {
    let mut unique = name.clone();
    while taken.contains_key(&unique) {
        let times = taken.entry(name.clone()).or_insert(1);
        *times += 1;
        unique = format!("{name} ({times})");
    }
    taken.insert(unique.clone(), 1);
    unique
}

impl<const N: usize> From<[(&str, Value); N]> for Object {
    fn from(entries: [(&str, Value); N]) -> Self {
        Self(entries.into_iter().map(|(key, value)| (self::key(key.into()), value)).collect())
    }
}

impl Value {
    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let inside = match self {
            Self::Null | Self::Bool(_) => 0,
            Self::Number(number) => number.text().len(),
            Self::String(text) => text.len(),
            Self::Array(list) => list.iter().map(Self::weight).sum(),
            Self::Object(object) => object.weight(),
        };
        // What it lies in, and what an allocation takes beside that.
        std::mem::size_of::<Self>() + 16 + inside
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The list.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(list) = self { Some(list) } else { None }
    }

    /// The number.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// Whether it is true.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(bool) = self { Some(*bool) } else { None }
    }

    /// The same, with each text in it changed for which this gives another: names of entries too, and numbers, which
    /// are texts then.
    #[must_use]
    pub fn with_texts(self, change: &impl Fn(&str) -> Option<String>) -> Self {
        match self {
            Self::Null | Self::Bool(_) => self,
            Self::Number(number) => match change(number.text()) {
                Some(other) => Self::String(other),
                None => Self::Number(number),
            },
            Self::String(text) => Self::String(change(&text).unwrap_or(text)),
            Self::Array(list) => {
                Self::Array(list.into_iter().map(|value| value.with_texts(change)).collect())
            }
            Self::Object(object) => Self::Object(object.with_texts(change)),
        }
    }

    /// The number, where it is one that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self { number.text().parse().ok() } else { None }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Value {
    fn from(entries: [(&str, Value); N]) -> Self {
        Self::Object(entries.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_the_same_after_a_change_are_kept_apart_and_many_are_changed_at_once() {
        let change = |text: &str| text.contains("SECRET").then(|| String::from("s"));
        let read = |json: &str| parse(json.as_bytes()).unwrap().with_texts(&change);
        let changed =
            read(r#"{"xSECRET":1,"a":2,"SECRET":3,"s (2)":4,"b":{"s":1,"SECRET":"SECRETs"}}"#);
        assert_eq!(text(&changed), r#"{"s":1,"a":2,"s (3)":3,"s (2)":4,"b":{"s":1,"s (2)":"s"}}"#);
        assert_eq!(text(&read(r#"{"SECRET":1,"s":2}"#)), r#"{"s (2)":1,"s":2}"#);
        let keys: Vec<String> = (0..40_000).map(|key| format!("\"SECRET{key}\":1")).collect();
        let began = std::time::Instant::now();
        let same = read(&format!("{{{}}}", keys.join(",")));
        assert_eq!(same.as_object().map(Object::len), Some(40_000));
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        let keys: Vec<String> = (0..40_000).map(|key| format!("\"k{key}\":1")).collect();
        let many = parse(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap();
        let began = std::time::Instant::now();
        let longer = many.with_texts(&|text| text.starts_with('k').then(|| format!("{text}-s")));
        assert_eq!(longer.as_object().map(Object::len), Some(40_000));
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
