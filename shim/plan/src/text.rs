//! Arguments and environment entries: any bytes but NUL, as execve(2) takes them.

use alloc::{string::String, vec::Vec};
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes without a NUL. In JSON a string where they are UTF-8, a list of numbers where not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes, without a terminating NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The text has a NUL byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NulError;

impl fmt::Display for NulError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("has a NUL byte")
    }
}

impl core::error::Error for NulError {}

impl TryFrom<Vec<u8>> for Text {
    type Error = NulError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, NulError> {
        if bytes.contains(&0) { Err(NulError) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<&str> for Text {
    type Error = NulError;

    fn try_from(text: &str) -> Result<Self, NulError> {
        Self::try_from(Vec::from(text.as_bytes()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), to)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match core::str::from_utf8(&self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => self.0.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> de::Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a string, or a list of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Text::try_from(text).map_err(E::custom)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element::<u8>()? {
            bytes.push(byte);
        }
        Text::try_from(bytes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn bytes_that_are_not_utf8_survive_json() {
        for bytes in [vec![b'a'], vec![0xff, b'/', 0x80], vec![]] {
            let text = Text::try_from(bytes).unwrap();
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&json).unwrap(), text);
        }
    }

    #[test]
    fn a_nul_is_refused_in_both_spellings() {
        assert!(serde_json::from_str::<Text>("\"a\\u0000b\"").is_err());
        assert!(serde_json::from_str::<Text>("[97,0]").is_err());
    }
}
