//! What the broker tells the supervisor to keep: which tool had which definition, as messages of one fixed
//! size. A tool's name is the one word of a stranger's that gets there, and only where it is made of a closed
//! alphabet; any other is told by its digest.

use crate::fixed::{Reader, RecordError};
use alloc::string::String;
use core::fmt;

/// The bytes of a message.
pub const SIZE: usize = 168;

/// The longest name.
pub(crate) const LONGEST: usize = 128;

/// What a name begins with that is the digest of another.
const DIGEST: u8 = b'~';

/// How a tool is called where it is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToolName(String);

impl ToolName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that is told by this digest, in hexadecimal.
    #[must_use]
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        let mut name = String::with_capacity(65);
        name.push(char::from(DIGEST));
        for byte in digest {
            for half in [byte >> 4, byte & 15] {
                name.push(char::from_digit(half.into(), 16).unwrap_or('0'));
            }
        }
        Self(name)
    }
}

impl ToolName {
    /// The name of this length in a message.
    pub(crate) fn read(name: &[u8; LONGEST], length: u8) -> Result<Self, RecordError> {
        let name = name.get(..usize::from(length)).ok_or(RecordError("its tool is too long"))?;
        let name = core::str::from_utf8(name).map_err(|_| RecordError("its tool is no text"))?;
        Self::try_from(name)
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl TryFrom<&str> for ToolName {
    type Error = RecordError;

    fn try_from(name: &str) -> Result<Self, RecordError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte);
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let known = match name.as_bytes() {
            [DIGEST, digest @ ..] => digest.len() == 64 && digest.iter().all(|byte| hex(*byte)),
            name => (1..=LONGEST).contains(&name.len()) && name.iter().all(|byte| plain(*byte)),
        };
        if known { Ok(Self(name.into())) } else { Err(RecordError("its tool has no such name")) }
    }
}

/// A tool as its callee defined it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The callee, by its place in the plan.
    pub callee: u32,
    /// It is not what it was when it was accepted; else it is accepted now.
    pub changed: bool,
    /// SHA-256 over the canonical JSON of its definition without `_meta`.
    pub digest: [u8; 32],
    /// The tool.
    pub tool: ToolName,
}

impl Seen {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let length = u8::try_from(self.tool.0.len()).unwrap_or(0);
        let all = self
            .callee
            .to_le_bytes()
            .into_iter()
            .chain([u8::from(self.changed), length, 0, 0])
            .chain(self.digest)
            .chain(self.tool.0.bytes());
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// The message in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, RecordError> {
        let mut from = Reader(bytes);
        let callee = u32::from_le_bytes(from.take()?);
        let [changed, length, ..] = from.take::<4>()?;
        let digest = from.take()?;
        let name: [u8; LONGEST] = from.take()?;
        let seen =
            Self { callee, changed: changed == 1, digest, tool: ToolName::read(&name, length)? };
        // Whatever it does not have is 0.
        if seen.encode() == *bytes { Ok(seen) } else { Err(RecordError("it holds more")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same_and_nothing_else_does() {
        let long = "x".repeat(LONGEST);
        let names =
            ["a", "fs/read_file", long.as_str()].map(|name| ToolName::try_from(name).unwrap());
        for tool in names.into_iter().chain([ToolName::of_digest(&[0xa5; 32])]) {
            let seen = Seen { callee: 7, changed: true, digest: [9; 32], tool };
            let bytes = seen.encode();
            assert_eq!(Seen::decode(&bytes), Ok(seen));
            for place in 0..SIZE {
                for value in [0, 1, 2, 64, 129, 255] {
                    let mut bytes = bytes;
                    bytes[place] = value;
                    if let Ok(read) = Seen::decode(&bytes) {
                        assert_eq!(read.encode(), bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_is_of_a_closed_alphabet() {
        let long = "x".repeat(LONGEST + 1);
        for name in ["", "a b", "ä", "a\n", "~", "~a", "a~", long.as_str()] {
            assert!(ToolName::try_from(name).is_err(), "{name}");
        }
        let digest = ToolName::of_digest(&[0xa5; 32]);
        assert_eq!(ToolName::try_from(digest.as_str()), Ok(digest));
    }
}
