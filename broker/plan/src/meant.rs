//! What the broker tells of the tools that calls meant, and whether they were passed on: once each, as messages
//! of one fixed size. Only a tool is told of that its callee has, by the name by which it is kept: what a caller
//! makes up gets nowhere.

use crate::fixed::{Reader, RecordError};
use crate::record::Rule;
use crate::seen::{LONGEST, ToolName};

/// The bytes of a message.
pub const SIZE: usize = 136;

/// A tool that was called, or was to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meant {
    /// Over which edge: its place in the plan.
    pub edge: u32,
    /// Why the call was refused; nothing where it was passed on.
    pub refused: Option<Rule>,
    /// The tool.
    pub tool: ToolName,
}

impl Meant {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let name = self.tool.as_str();
        let length = u8::try_from(name.len()).unwrap_or(0);
        let rule = self.refused.map_or(0, Rule::number);
        let all = self.edge.to_le_bytes().into_iter().chain([rule, length, 0, 0]);
        bytes.iter_mut().zip(all.chain(name.bytes())).for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// The message in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, RecordError> {
        let mut from = Reader(bytes);
        let edge = u32::from_le_bytes(from.take()?);
        let [rule, length, ..] = from.take::<4>()?;
        let name: [u8; LONGEST] = from.take()?;
        let refused = if rule == 0 { None } else { Some(Rule::from_number(rule)?) };
        let meant = Self { edge, refused, tool: ToolName::read(&name, length)? };
        // Whatever it does not have is 0.
        if meant.encode() == *bytes { Ok(meant) } else { Err(RecordError("it holds more")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same_and_nothing_else_does() {
        for (refused, name) in [(None, "a"), (Some(Rule::Reach), "fs/read_file")] {
            let tool = ToolName::try_from(name).unwrap();
            let meant = Meant { edge: 7, refused, tool };
            let bytes = meant.encode();
            assert_eq!(Meant::decode(&bytes), Ok(meant));
            for place in 0..SIZE {
                for value in [0, 1, 2, 19, 64, 129, 255] {
                    let mut bytes = bytes;
                    bytes[place] = value;
                    if let Ok(read) = Meant::decode(&bytes) {
                        assert_eq!(read.encode(), bytes);
                    }
                }
            }
        }
    }
}
