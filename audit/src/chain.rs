//! What chains a record to the one before it: SHA-256 over the hash of the one before and the bytes of
//! the record.

use crate::encode::{hex, unhex};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt;

/// So that no hash of anything else can be taken for one of a record.
const DOMAIN: &[u8] = b"sandboxd audit record v1\n";

/// The hash of a record, which stands for all records before it too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// What the first record of all has before it.
    pub const NOTHING: Self = Self([0; 32]);

    /// The hash of a record with these bytes, after one with this hash.
    #[must_use]
    pub fn of(prev: Self, bytes: &[u8]) -> Self {
        let mut sha = Sha256::new();
        sha.update(DOMAIN);
        sha.update(prev.0);
        sha.update(bytes);
        Self(sha.finalize().into())
    }

    /// From 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not 64 lower-case hexadecimal digits")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, to)
    }
}

/// SHA-256 of any bytes, in hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_every_byte_and_on_what_came_before() {
        let first = Hash::of(Hash::NOTHING, b"one");
        assert_ne!(first, Hash::of(Hash::NOTHING, b"onf"));
        assert_ne!(first, Hash::of(first, b"one"));
        assert_eq!(Hash::parse(&first.to_string()), Some(first));
    }

    #[test]
    fn a_record_has_not_the_plain_hash_of_its_bytes() {
        let plain = digest(&[[0; 32].as_slice(), b"one"].concat());
        assert_ne!(Hash::of(Hash::NOTHING, b"one").to_string(), plain);
    }
}
