//! What a tool says of itself, in the broker's words: lines for people, of a closed alphabet, in messages of one
//! fixed size. They come one after the other, right after the tool was told as [`seen`](crate::seen).

use crate::fixed::RecordError;
use alloc::{string::String, vec::Vec};

/// The bytes of a message.
pub const SIZE: usize = 1024;

/// Bytes of text in one.
const PIECE: usize = SIZE - 4;

/// The most bytes of a tool's words; one that says more is known by its digest alone.
pub const MOST: usize = 16 << 10;

/// A part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// More of them follow.
    pub more: bool,
    /// Letters that any terminal shows, and ends of lines.
    pub text: String,
}

impl Words {
    /// A text in parts; none where it has letters that no words have, or nothing is said.
    #[must_use]
    pub fn of(text: &str) -> Vec<Self> {
        if !text.bytes().all(is_shown) || text.len() > MOST {
            return Vec::new();
        }
        let (pieces, rest) = text.as_bytes().as_chunks::<PIECE>();
        let pieces = pieces.iter().map(<[u8; PIECE]>::as_slice).chain(core::iter::once(rest));
        let mut words: Vec<Self> = pieces
            .filter(|piece| !piece.is_empty())
            .map(|piece| Self { more: true, text: piece.iter().copied().map(char::from).collect() })
            .collect();
        if let Some(last) = words.last_mut() {
            last.more = false;
        }
        words
    }

    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let length = u16::try_from(self.text.len()).unwrap_or(0).to_le_bytes();
        let all = [u8::from(self.more), 0].into_iter().chain(length).chain(self.text.bytes());
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// The message in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8; SIZE]) -> Result<Self, RecordError> {
        let [more, _, low, high, text @ ..] = bytes;
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let text = text.get(..length).ok_or(RecordError("its words are too long"))?;
        if text.is_empty() || !text.iter().copied().all(is_shown) {
            return Err(RecordError("its words are none"));
        }
        let words = Self { more: *more == 1, text: text.iter().copied().map(char::from).collect() };
        // Whatever it does not have is 0.
        if words.encode() == *bytes { Ok(words) } else { Err(RecordError("it holds more")) }
    }
}

const fn is_shown(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_parts_is_heard_whole_and_is_of_a_closed_alphabet() {
        for length in [1, PIECE - 1, PIECE, PIECE + 1, MOST] {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let words = Words::of(&text);
            let heard = words.iter().map(|words| Words::decode(&words.encode()).unwrap());
            let heard: Vec<Words> = heard.collect();
            assert_eq!(heard, words);
            assert_eq!(heard.iter().map(|words| words.text.as_str()).collect::<String>(), text);
            assert_eq!(heard.iter().filter(|words| !words.more).count(), 1);
        }
        for text in ["", "\u{1b}[31m", "é", &"x".repeat(MOST + 1)] {
            assert!(Words::of(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn no_other_bytes_are_words() {
        let good = Words { more: false, text: "reads\n".into() }.encode();
        for (place, byte) in [(0, 2), (1, 1), (2, 7), (2, 0), (3, 255), (4, 0x1b), (5, 0x80)] {
            let mut bytes = good;
            bytes[place] = byte;
            assert!(Words::decode(&bytes).is_err(), "{place}: {byte}");
        }
    }
}
