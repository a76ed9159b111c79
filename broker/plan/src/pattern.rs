//! Names, and what stands for many of them.

use crate::plain::is_plain_uri;
use alloc::{borrow::ToOwned as _, string::String};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The most bytes a name or pattern has, so that it fits into a record of fixed size.
pub const MOST: usize = 128;

/// Why a text is not a name or pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternError(&'static str);

impl fmt::Display for PatternError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.0)
    }
}

impl core::error::Error for PatternError {}

/// The name of a caller, a callee or an edge, as profiles have them: `[a-z0-9][a-z0-9-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match text.as_bytes() {
            [] => Err(PatternError("a name has at least one letter")),
            [_, rest @ ..] if rest.len() > 63 => Err(PatternError("a name has at most 64 letters")),
            [first, rest @ ..]
                if plain(*first) && rest.iter().all(|byte| plain(*byte) || *byte == b'-') =>
            {
                Ok(Self(text))
            }
            _ => Err(PatternError("a name has the letters a-z, 0-9 and -, and begins with no -")),
        }
    }
}

impl TryFrom<&str> for Name {
    type Error = PatternError;

    fn try_from(text: &str) -> Result<Self, PatternError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// Which names are meant: one of them (`read_file`), those with a beginning (`read_*`), or all
/// (`*`). Nothing else, so that two patterns have an exact meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Whether this name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.0 == name,
        }
    }

    /// Whether this URI is meant. Where not all are, one is meant for how it begins only if it is read in one way.
    #[must_use]
    pub fn matches_uri(&self, uri: &str) -> bool {
        let by_beginning = self.0.ends_with('*') && self.0 != "*";
        self.matches(uri) && (!by_beginning || is_plain_uri(uri))
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError("a pattern is a name, a beginning and *, or *"));
        }
        if text.len() > MOST {
            return Err(PatternError("a pattern has at most 128 bytes"));
        }
        if text.trim_end_matches('*').len() + 1 < text.len()
            || text.strip_suffix('*').unwrap_or(&text).contains('*')
        {
            return Err(PatternError("a * stands at the end of a pattern and nowhere else"));
        }
        if text.chars().any(char::is_control) {
            return Err(PatternError("a pattern has no control characters"));
        }
        Ok(Self(text))
    }
}

impl TryFrom<&str> for Pattern {
    type Error = PatternError;

    fn try_from(text: &str) -> Result<Self, PatternError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_ending_and_only_there() {
        let all = Pattern::try_from("*").unwrap();
        let reads = Pattern::try_from("read_*").unwrap();
        let one = Pattern::try_from("read_file").unwrap();
        assert!(all.matches("") && all.matches("x") && reads.matches("read_"));
        assert!(
            reads.matches("read_file") && !reads.matches("read") && !reads.matches("Read_file")
        );
        assert!(one.matches("read_file") && !one.matches("read_file2") && !one.matches("read_"));
        for text in ["", "**", "a*b", "*a", "a**", "a\nb"] {
            assert!(Pattern::try_from(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_uri_is_meant_for_how_it_begins_only_where_it_leads_there() {
        let meant = |pattern: &str, uri: &str| Pattern::try_from(pattern).unwrap().matches_uri(uri);
        let (public, above) = ("file:///srv/public/a", "file:///srv/public/../private");
        assert!(meant("file:///srv/public/*", public) && !meant("file:///srv/public/*", above));
        assert!(meant("*", above) && meant(above, above), "all, and this very one");
        assert!(!meant(public, above) && !meant("file:///srv/public/*", "file:///srv/x"));
    }

    #[test]
    fn a_name_is_what_a_profile_may_be_called() {
        for text in ["a", "fs-2", &"a".repeat(64)] {
            assert!(Name::try_from(text).is_ok(), "{text:?}");
        }
        for text in ["", "-a", "A", "a_b", "a b", "../a", "a\0", &"a".repeat(65)] {
            assert!(Name::try_from(text).is_err(), "{text:?}");
        }
        assert!(serde_json::from_str::<Name>("\"../fs\"").is_err());
    }
}
