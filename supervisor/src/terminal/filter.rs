//! What of a command's output the caller's terminal gets to see: text and what draws it, not what
//! makes the terminal act or answer.
//!
//! ECMA-48 and xterm's control sequences. What comes out is UTF-8, and of control sequences only those
//! that [`super::allowed`] knows to draw, each whole: nothing that the command left unfinished is in
//! front of what somebody else writes next. The 8-bit forms of the introducers count as the 7-bit ones.
//!
//! ```text
//! Text --ESC--> Escape --[--> Control --final--> Text
//!                  ├--] P X ^ _--> String --BEL or ESC \--> Text
//!                  ├--( ) * +--> Charset --final--> Text
//!                  └--anything else--> Text
//! ```

use super::allowed::{Allowed, Control, control, escape, string};
use super::modes::Modes;
use sandboxd_profiles::Escape;

/// A control sequence longer than this is none that any program sends.
const LONGEST: usize = 256;
/// What a string may hold: xterm takes no more for the clipboard.
const LONGEST_STRING: usize = 128 << 10;
const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
/// What stands where a byte was that is no text.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// The state between two pieces of output.
#[derive(Debug)]
pub struct Filter {
    allowed: Allowed,
    state: State,
    /// The character, sequence or string that is being read; of a sequence without its introducer.
    held: Vec<u8>,
    modes: Modes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// In a character of UTF-8, which has this many bytes more.
    Character(u8),
    Escape,
    Control,
    Charset(u8),
    /// In a string. One that is not an operating system command is dropped whatever it holds.
    String(Place),
}

/// Where in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    command: bool,
    /// The last byte was ESC.
    escaped: bool,
    /// Bytes more of the current character, among which none ends the string.
    continuation: u8,
}

impl Filter {
    /// A filter that lets these pass too.
    #[must_use]
    pub fn new(escapes: &[Escape]) -> Self {
        Self {
            allowed: Allowed::new(escapes),
            state: State::Text,
            held: Vec::new(),
            modes: Modes::default(),
        }
    }

    /// Appends to `output` what may pass of `input`.
    pub fn pass(&mut self, input: &[u8], output: &mut Vec<u8>) {
        let mut rest = input;
        while let Some((byte, behind)) = rest.split_first() {
            if self.state == State::Text {
                let plain = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
                if plain > 0 {
                    let (text, behind) = rest.split_at(plain);
                    output.extend_from_slice(text);
                    rest = behind;
                    continue;
                }
            }
            self.step(*byte, output);
            rest = behind;
        }
    }

    /// What gives the terminal back as it was: what is still on is switched off.
    #[must_use]
    pub fn undo(&self) -> Vec<u8> {
        self.modes.undo()
    }

    /// Whether the terminal may still send something that nobody typed: an answer, a mouse report.
    #[must_use]
    pub fn may_be_answered(&self) -> bool {
        self.modes.may_be_answered()
    }

    fn step(&mut self, byte: u8, output: &mut Vec<u8>) {
        match self.state {
            State::Text => self.text(byte, output),
            State::Character(left) => self.character(byte, left, output),
            State::Escape => self.escape(byte, output),
            State::Control => self.control(byte, output),
            State::Charset(kind) => self.charset(kind, byte, output),
            State::String(place) => self.string(byte, place, output),
        }
    }

    fn text(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            ESC => self.begin(State::Escape),
            0x0e | 0x0f => {
                self.modes.shifted(byte);
                output.push(byte);
            }
            byte if is_plain(byte) => output.push(byte),
            // The rest of C0 asks for an answer (ENQ), or does nothing.
            0x00..=0x1f | 0x7f => {}
            0x80..=0x9f => self.eight_bit(byte),
            _ => match following(byte) {
                0 => output.extend_from_slice(REPLACEMENT),
                left => {
                    self.begin(State::Character(left));
                    self.held.push(byte);
                }
            },
        }
    }

    fn character(&mut self, byte: u8, left: u8, output: &mut Vec<u8>) {
        if !(0x80..0xc0).contains(&byte) {
            self.state = State::Text;
            output.extend_from_slice(REPLACEMENT);
            return self.text(byte, output);
        }
        self.held.push(byte);
        if left > 1 {
            self.state = State::Character(left - 1);
            return;
        }
        self.state = State::Text;
        match (self.held.as_slice(), std::str::from_utf8(&self.held)) {
            ([0xc2, control @ 0x80..=0x9f], _) => self.eight_bit(*control),
            (_, Ok(character)) => output.extend_from_slice(character.as_bytes()),
            (_, Err(_)) => output.extend_from_slice(REPLACEMENT),
        }
    }

    /// An 8-bit control character is ESC and the byte 0x40 below it (ECMA-48 §5.3). Those that
    /// introduce nothing are dropped.
    fn eight_bit(&mut self, byte: u8) {
        match byte {
            0x9b => self.begin(State::Control),
            0x90 | 0x98 | 0x9d | 0x9e | 0x9f => self.begin_string(byte == 0x9d),
            _ => self.state = State::Text,
        }
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.held.clear();
    }

    fn begin_string(&mut self, command: bool) {
        self.begin(State::String(Place { command, escaped: false, continuation: 0 }));
    }

    fn escape(&mut self, byte: u8, output: &mut Vec<u8>) {
        self.state = State::Text;
        match byte {
            b'[' => self.begin(State::Control),
            b']' | b'P' | b'X' | b'^' | b'_' => self.begin_string(byte == b']'),
            b'(' | b')' | b'*' | b'+' => self.begin(State::Charset(byte)),
            ESC => self.begin(State::Escape),
            byte if escape(byte) => {
                self.modes.escape(byte);
                output.extend_from_slice(&[ESC, byte]);
            }
            _ => {}
        }
    }

    fn charset(&mut self, kind: u8, byte: u8, output: &mut Vec<u8>) {
        self.state = State::Text;
        match byte {
            // Graphics, ASCII, British.
            b'0' | b'A' | b'B' => {
                self.modes.charset(byte);
                output.extend_from_slice(&[ESC, kind, byte]);
            }
            ESC => self.begin(State::Escape),
            _ => {}
        }
    }

    fn control(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            0x20..=0x3f if self.held.len() < LONGEST => self.held.push(byte),
            0x40..=0x7e => {
                self.state = State::Text;
                self.held.push(byte);
                if let Some(parsed) = Control::parse(&self.held)
                    && let Some(passing) = control(&parsed, &self.allowed, &mut self.modes)
                {
                    output.extend_from_slice(b"\x1b[");
                    output.extend_from_slice(&passing);
                }
            }
            ESC => self.begin(State::Escape),
            // Other control characters act in the middle of a sequence, as on a real terminal.
            0x00..=0x17 | 0x19 | 0x1c..=0x1f => {
                if is_plain(byte) {
                    output.push(byte);
                }
            }
            _ => self.state = State::Text,
        }
    }

    fn string(&mut self, byte: u8, place: Place, output: &mut Vec<u8>) {
        if place.continuation > 0 && (0x80..0xc0).contains(&byte) {
            return self.hold(byte, Place { continuation: place.continuation - 1, ..place });
        }
        match (byte, place.escaped) {
            (BEL | 0x9c, false) | (b'\\', true) => {
                self.state = State::Text;
                if place.command && self.held.len() < LONGEST_STRING {
                    self.end_string(output);
                }
            }
            (ESC, false) => self.state = State::String(Place { escaped: true, ..place }),
            (CAN | SUB, _) => self.state = State::Text,
            // ESC and something else ends the string and begins a sequence.
            (_, true) => self.escape(byte, output),
            (_, false) => self.hold(byte, Place { continuation: following(byte), ..place }),
        }
    }

    fn end_string(&mut self, output: &mut Vec<u8>) {
        if string(&self.held, &self.allowed, &mut self.modes) {
            output.extend_from_slice(b"\x1b]");
            output.extend_from_slice(&self.held);
            output.extend_from_slice(b"\x1b\\");
        }
    }

    fn hold(&mut self, byte: u8, place: Place) {
        self.state = State::String(place);
        if self.held.len() < LONGEST_STRING {
            self.held.push(byte);
        }
    }
}

/// Text of one byte, and the control characters that move the cursor or ring the bell.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e | 0x07..=0x0d)
}

/// How many bytes follow this one in a character of UTF-8.
const fn following(byte: u8) -> u8 {
    match byte {
        0xc2..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf4 => 3,
        _ => 0,
    }
}

#[cfg(test)]
#[path = "filter/tests.rs"] // also where this file is a module of the fuzz target
mod tests;
