//! What of a command's output the outer terminal gets to see: text and what draws it, not what makes
//! the terminal act or answer.
//!
//! ECMA-48 and xterm's control sequences. Removed are: operating system commands (OSC: clipboard,
//! title, links), device control and other strings (DCS, SOS, PM, APC), and control sequences that
//! make the terminal report something, because the report arrives as if it had been typed (DA, DSR,
//! DECRQM, window operations). Everything else passes unchanged, colours, cursor movement and screen
//! switching among it. The 8-bit forms of the introducers count as the 7-bit ones.
//!
//! ```text
//! Text --ESC--> Escape --[--> Control --final--> Text
//!                  ├--] P X ^ _--> String --BEL or ESC \--> Text
//!                  └--anything else--> Text
//! ```

/// A sequence longer than this is no sequence any program sends.
const LONGEST: usize = 256;
const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

/// The state between two pieces of output.
#[derive(Debug, Default)]
pub struct Filter {
    state: State,
    /// The sequence that is being read, with its introducer.
    held: Vec<u8>,
    /// How many more continuation bytes the current UTF-8 character has.
    continuation: u8,
    /// Modes that the command switched on and not off again: what must be undone at its end.
    modes: Vec<u16>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After `C2`, which begins an 8-bit control character in UTF-8.
    Latin,
    Escape,
    Control,
    /// In a string, which is dropped; whether its last byte was ESC.
    String(bool),
}

/// Modes that change what the user's own typing or screen does, xterm's DECSET: mouse reports, the
/// alternate screen, focus reports, bracketed paste; 25, the cursor, is undone by showing it.
const UNDONE: [u16; 13] = [9, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004];
const CURSOR: u16 = 25;
const APPLICATION_KEYS: u16 = 1;

impl Filter {
    /// Appends to `output` what may pass of `input`.
    pub fn pass(&mut self, input: &[u8], output: &mut Vec<u8>) {
        for byte in input {
            self.step(*byte, output);
        }
    }

    /// What gives the outer terminal back as it was: modes that are still on are switched off.
    #[must_use]
    pub fn undo(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for mode in &self.modes {
            let word = match *mode {
                CURSOR => String::from("\x1b[?25h"),
                mode => format!("\x1b[?{mode}l"),
            };
            bytes.extend_from_slice(word.as_bytes());
        }
        bytes
    }

    fn step(&mut self, byte: u8, output: &mut Vec<u8>) {
        match self.state {
            State::Text => self.text(byte, output),
            State::Latin => self.latin(byte, output),
            State::Escape => self.escape(byte, output),
            State::Control => self.control(byte, output),
            State::String(escaped) => self.string(byte, escaped),
        }
    }

    fn text(&mut self, byte: u8, output: &mut Vec<u8>) {
        if self.continuation > 0 && (0x80..0xc0).contains(&byte) {
            self.continuation -= 1;
            output.push(byte);
            return;
        }
        self.continuation = 0;
        match byte {
            ESC => self.begin(State::Escape, &[ESC]),
            0xc2 => self.state = State::Latin,
            // An 8-bit control character where no UTF-8 character is being read.
            0x80..=0x9f => self.eight_bit(byte),
            0xc3..=0xdf => self.character(byte, 1, output),
            0xe0..=0xef => self.character(byte, 2, output),
            0xf0..=0xf4 => self.character(byte, 3, output),
            _ => output.push(byte),
        }
    }

    fn character(&mut self, byte: u8, continuation: u8, output: &mut Vec<u8>) {
        self.continuation = continuation;
        output.push(byte);
    }

    fn latin(&mut self, byte: u8, output: &mut Vec<u8>) {
        self.state = State::Text;
        match byte {
            0x80..=0x9f => self.eight_bit(byte),
            0xa0..=0xbf => output.extend_from_slice(&[0xc2, byte]),
            // Not UTF-8 after all.
            _ => self.text(byte, output),
        }
    }

    /// An 8-bit control character is ESC and the byte 0x40 below it (ECMA-48 §5.3). Those that
    /// introduce nothing are dropped.
    fn eight_bit(&mut self, byte: u8) {
        match byte {
            0x9b => self.begin(State::Control, &[ESC, b'[']),
            0x90 | 0x98 | 0x9d | 0x9e | 0x9f => self.state = State::String(false),
            _ => self.state = State::Text,
        }
    }

    fn begin(&mut self, state: State, introducer: &[u8]) {
        self.state = state;
        self.held.clear();
        self.held.extend_from_slice(introducer);
    }

    fn escape(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            b'[' => {
                self.held.push(byte);
                self.state = State::Control;
            }
            b']' | b'P' | b'X' | b'^' | b'_' => self.state = State::String(false),
            ESC => self.begin(State::Escape, &[ESC]),
            CAN | SUB => self.state = State::Text,
            // Intermediate bytes: ESC ( B and the like, up to a final byte.
            0x20..=0x2f => self.hold(byte),
            // DECID asks the terminal what it is; RIS resets what the user had set up.
            b'Z' | b'c' => self.state = State::Text,
            0x30..=0x7e => {
                self.held.push(byte);
                output.append(&mut self.held);
                self.state = State::Text;
            }
            _ => self.state = State::Text,
        }
    }

    fn control(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            0x20..=0x3f => self.hold(byte),
            0x40..=0x7e => {
                self.held.push(byte);
                self.state = State::Text;
                if may_pass(&self.held) {
                    self.remember();
                    output.append(&mut self.held);
                }
            }
            ESC => self.begin(State::Escape, &[ESC]),
            CAN | SUB => self.state = State::Text,
            // Other control characters act in the middle of a sequence, as on a real terminal.
            0x00..=0x1f => output.push(byte),
            _ => self.state = State::Text,
        }
    }

    fn string(&mut self, byte: u8, escaped: bool) {
        self.state = match (byte, escaped) {
            (BEL | CAN | SUB | 0x9c, _) | (b'\\', true) => State::Text,
            (ESC, _) => State::String(true),
            // ESC and something else ends the string and begins a sequence.
            (b'[', true) => {
                self.begin(State::Control, &[ESC, b'[']);
                State::Control
            }
            (_, _) => State::String(false),
        };
    }

    fn hold(&mut self, byte: u8) {
        self.held.push(byte);
        if self.held.len() > LONGEST {
            self.state = State::Text;
        }
    }

    /// Notes modes that are switched on, so that they can be switched off.
    fn remember(&mut self) {
        let Some(rest) = self.held.strip_prefix(b"\x1b[?") else { return };
        let Some((last, numbers)) = rest.split_last() else { return };
        let on = *last == b'h';
        if !on && *last != b'l' {
            return;
        }
        let text = String::from_utf8_lossy(numbers);
        for mode in text.split(';').filter_map(|number| number.parse::<u16>().ok()) {
            let changes = match mode {
                CURSOR => !on,
                APPLICATION_KEYS => on,
                mode => on && UNDONE.contains(&mode),
            };
            self.modes.retain(|known| *known != mode);
            if changes {
                self.modes.push(mode);
            }
        }
    }
}

/// Whether a whole control sequence draws, rather than asks.
fn may_pass(sequence: &[u8]) -> bool {
    let Some(final_byte) = sequence.last() else { return false };
    let asks_mode = sequence.contains(&b'$') && matches!(final_byte, b'p' | b'u' | b'w');
    let asks_version = sequence.contains(&b'>') && matches!(final_byte, b'q' | b'c' | b'm' | b'u');
    let asks_keys = sequence.contains(&b'?') && *final_byte == b'u';
    // DA, DSR, DECREQTPARM, window operations, DECELR and DECRQLP, DECSLE.
    let asks = matches!(final_byte, b'c' | b'n' | b'x' | b't');
    !(asks || asks_mode || asks_version || asks_keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(input: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        Filter::default().pass(input, &mut whole);
        // However the output is cut into pieces, the same passes.
        let mut pieces = Vec::new();
        let mut filter = Filter::default();
        for byte in input {
            filter.pass(std::slice::from_ref(byte), &mut pieces);
        }
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn text_and_what_draws_it_passes_unchanged() {
        for text in [
            "plain\r\n\tand tabs\x08",
            "grüße, 日本, 🦀",
            "\x1b[1;31mred\x1b[0m",
            "\x1b[2J\x1b[10;20H\x1b[K\x1b[?1049h\x1b[?25l",
            "\x1b(B\x1b)0\x1b7\x1b8\x1b=\x1b>\x1bM",
            "\x1b[38;2;1;2;3m\x1b[4:3m",
            "\x1b[2 q",
        ] {
            assert_eq!(filtered(text.as_bytes()), text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn what_acts_or_asks_does_not_pass() {
        for (name, attack) in [
            ("clipboard", &b"\x1b]52;c;ZXZpbA==\x07"[..]),
            ("clipboard, ended by ST", b"\x1b]52;c;ZXZpbA==\x1b\\"),
            ("title", b"\x1b]0;title\x07"),
            ("link", b"\x1b]8;;http://evil\x07"),
            ("device control", b"\x1bP$q\"p\x1b\\"),
            ("privacy message", b"\x1b^x\x1b\\"),
            ("application command", b"\x1b_x\x1b\\"),
            ("start of string", b"\x1bXx\x1b\\"),
            ("cursor position report", b"\x1b[6n"),
            ("device status, private", b"\x1b[?6n"),
            ("device attributes", b"\x1b[c"),
            ("secondary device attributes", b"\x1b[>c"),
            ("title report", b"\x1b[21t"),
            ("mode report", b"\x1b[?2004$p"),
            ("version report", b"\x1b[>q"),
            ("keyboard report", b"\x1b[?u"),
            ("terminal parameters", b"\x1b[x"),
            ("identify", b"\x1bZ"),
            ("reset", b"\x1bc"),
            ("8-bit string", b"\x9d52;c;x\x9c"),
            ("8-bit report", b"\x9b6n"),
            ("8-bit string in UTF-8", "\u{9d}52;c;x\u{7}".as_bytes()),
            ("8-bit report in UTF-8", "\u{9b}6n".as_bytes()),
            ("lone control", b"\x85"),
        ] {
            let mut input = b"<".to_vec();
            input.extend_from_slice(attack);
            input.extend_from_slice(b">");
            assert_eq!(filtered(&input), b"<>", "{name}");
        }
    }

    #[test]
    fn a_sequence_inside_a_sequence_hides_nothing() {
        assert_eq!(filtered(b"\x1b[\x1b[6n>"), b">");
        assert_eq!(filtered(b"\x1b]0;x\x1b[6n>"), b">");
        assert_eq!(filtered(b"\x1b\x1b]0;x\x07>"), b">");
        // Cancelled, then begun anew.
        assert_eq!(filtered(b"\x1b[6\x18n"), b"n");
        // A byte of a UTF-8 character is none of the 8-bit introducers.
        assert_eq!(filtered("\u{49b}6n".as_bytes()), "\u{49b}6n".as_bytes());
        // The beginning of a character does not shield what follows it.
        assert_eq!(filtered(b"\xe2\x1b[6n>"), b"\xe2>");
    }

    #[test]
    fn what_has_no_end_is_not_kept() {
        let mut filter = Filter::default();
        let mut output = Vec::new();
        filter.pass(b"\x1b[", &mut output);
        filter.pass(&[b'1'; 100_000], &mut output);
        assert!(filter.held.capacity() <= 4 * LONGEST);
        let mut filter = Filter::default();
        filter.pass(b"\x1b]0;", &mut output);
        filter.pass(&[b'x'; 100_000], &mut output);
        assert!(filter.held.capacity() <= 4 * LONGEST);
    }

    #[test]
    fn modes_left_on_are_undone() {
        let mut filter = Filter::default();
        let mut output = Vec::new();
        filter.pass(b"\x1b[?1049h\x1b[?1000;1006h\x1b[?2004h\x1b[?25l\x1b[?2004l", &mut output);
        assert_eq!(filter.undo(), b"\x1b[?1049l\x1b[?1000l\x1b[?1006l\x1b[?25h");
        filter.pass(b"\x1b[?1049l\x1b[?1000l\x1b[?1006l\x1b[?25h", &mut output);
        assert_eq!(filter.undo(), b"");
    }
}
