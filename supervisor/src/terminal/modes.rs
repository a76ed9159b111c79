//! What the command changed of the terminal and not back again: what must be undone at its end.

/// Private modes that may be switched, each with its usual state; xterm's DECSET. Not those that
/// resize the window, print, or make the terminal report by itself what nobody asks.
const PRIVATE: &[(u16, Usual)] = &[
    (1, Usual::Off),  // cursor keys of applications
    (5, Usual::Off),  // reverse video
    (6, Usual::Off),  // origin at the margins
    (7, Usual::On),   // wrap around
    (12, Usual::Own), // a cursor that blinks
    (25, Usual::On),  // a cursor at all
    (47, Usual::Off), // the alternate screen, as 1047 and 1049
    (66, Usual::Off), // keypad of applications
    // Mouse and focus reports.
    (9, Usual::Off),
    (1000, Usual::Off),
    (1002, Usual::Off),
    (1003, Usual::Off),
    (1004, Usual::Off),
    (1005, Usual::Off),
    (1006, Usual::Off),
    (1015, Usual::Off),
    (1016, Usual::Off),
    (1007, Usual::Own), // the wheel as cursor keys
    // What the meta key sends.
    (1034, Usual::Own),
    (1036, Usual::Own),
    (1039, Usual::Own),
    (1047, Usual::Off),
    (1048, Usual::Own), // the cursor saved and restored
    (1049, Usual::Off),
    (2004, Usual::Off), // bracketed paste
    (2026, Usual::Off), // drawn all at once
];
/// ANSI modes: insertion, and a line feed that goes to the first column.
const ANSI: &[u16] = &[4, 20];
/// Of the private modes, those that make the terminal send what nobody typed.
const REPORTING: &[u16] = &[9, 1000, 1002, 1003, 1004];

/// How a mode is where nobody changed it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usual {
    On,
    Off,
    /// As the user likes it: it is not known, and not undone.
    Own,
}

/// The other screen, which each of these shows; 1049 saves the cursor too.
const SCREENS: &[u16] = &[47, 1047, 1049];
/// Modes that are saved and restored with the cursor (DECSC), so that who switched one back may have it on again.
const SAVED: &[u16] = &[6, 7];

/// What is to be undone. What terminals can bring back (DECSC and DECRC, a screen that is left), and what some of
/// them do not know to reset (DECSTR), counts as left on once it was on.
#[derive(Debug, Default)]
pub(super) struct Modes {
    private: Vec<u16>,
    ansi: Vec<u16>,
    /// Something was drawn in another way than plainly.
    attributes: bool,
    charset: bool,
    margins: bool,
    keypad: bool,
    cursor: bool,
    other_keys: bool,
    link: bool,
    /// Keyboard modes pushed, kitty's, on the usual screen and on the other one.
    pushed: [u16; 2],
    asked: bool,
}

/// Whether a mode may be switched.
pub(super) fn is_known(private: bool, mode: u16) -> bool {
    if private { usual(mode).is_some() } else { ANSI.contains(&mode) }
}

fn usual(mode: u16) -> Option<Usual> {
    PRIVATE.iter().find(|(known, _)| *known == mode).map(|(_, usual)| *usual)
}

impl Modes {
    pub(super) fn switch(&mut self, private: bool, mode: u16, on: bool) {
        let (list, stays) = if private {
            (&mut self.private, SAVED.contains(&mode))
        } else {
            (&mut self.ansi, true)
        };
        let changed = match (private, usual(mode)) {
            (true, Some(Usual::On)) => !on,
            (true, Some(Usual::Own)) => false,
            _ => on,
        };
        // Whichever of them shows the other screen, any of them leaves it.
        let leaves = private && !on && SCREENS.contains(&mode);
        if changed || !stays {
            list.retain(|known| *known != mode && !(leaves && SCREENS.contains(known)));
        }
        if changed {
            list.push(mode);
        }
        if on && private && REPORTING.contains(&mode) {
            self.asked = true;
        }
    }

    /// Colours, margins or the cursor's shape. Always passes.
    pub(super) fn drawn(&mut self, last: u8, parameters: &[u8]) -> bool {
        let back = parameters.is_empty() || parameters == b"0";
        match last {
            b'm' => self.attributes |= !back,
            b'r' => self.margins = !back,
            _ => self.cursor = !back,
        }
        true
    }

    pub(super) fn escape(&mut self, byte: u8) {
        match byte {
            b'=' => self.keypad = true,
            b'>' => self.keypad = false,
            b'c' => self.private.retain(|mode| !SCREENS.contains(mode)),
            _ => {}
        }
    }

    pub(super) fn charset(&mut self, last: u8) {
        self.charset |= last != b'B';
    }

    /// SO and SI choose between two sets.
    pub(super) fn shifted(&mut self, byte: u8) {
        self.charset |= byte == 0x0e;
    }

    pub(super) fn other_keys(&mut self) -> bool {
        self.other_keys = true;
        true
    }

    /// Keyboard modes are a stack of the terminal's, one of each screen; what others pushed is not the command's
    /// to take.
    pub(super) fn keys(&mut self, how: Option<u8>, count: u16, whole: &[u8]) -> Option<Vec<u8>> {
        let [usual, other] = &mut self.pushed;
        let pushed =
            if self.private.iter().any(|mode| SCREENS.contains(mode)) { other } else { usual };
        match how {
            Some(b'>') if *pushed < 64 => *pushed += 1,
            Some(b'<') if *pushed > 0 => {
                let popped = count.max(1).min(*pushed);
                *pushed -= popped;
                return Some(format!("<{popped}u").into_bytes());
            }
            Some(b'=') if *pushed > 0 => {}
            _ => return None,
        }
        Some(whole.to_vec())
    }

    pub(super) fn linked(&mut self, on: bool) {
        self.link = on;
    }

    /// The terminal was asked something. Always passes.
    pub(super) fn asked(&mut self) -> bool {
        self.asked = true;
        true
    }

    pub(super) fn may_be_answered(&self) -> bool {
        self.asked
    }

    /// What is of the other screen first: leaving it brings back how was drawn before.
    pub(super) fn undo(&self) -> Vec<u8> {
        let mut text = String::new();
        let mut undo = |needed: bool, word: &str| {
            if needed {
                text.push_str(word);
            }
        };
        undo(self.link, "\x1b]8;;\x1b\\");
        let [usual_pushed, other_pushed] = self.pushed;
        let (screens, rest): (Vec<u16>, Vec<u16>) =
            self.private.iter().partition(|mode| SCREENS.contains(mode));
        let is_there = !screens.is_empty();
        undo(other_pushed > 0 && !is_there, "\x1b[?47h");
        undo(other_pushed > 0, &format!("\x1b[<{other_pushed}u"));
        undo(other_pushed > 0 && !is_there, "\x1b[?47l");
        for mode in screens.iter().chain(&rest) {
            let on = usual(*mode) == Some(Usual::On);
            undo(true, &format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }));
        }
        undo(usual_pushed > 0, &format!("\x1b[<{usual_pushed}u"));
        undo(self.other_keys, "\x1b[>4m");
        for mode in &self.ansi {
            undo(true, &format!("\x1b[{mode}l"));
        }
        undo(self.attributes, "\x1b[0m");
        undo(self.charset, "\x0f\x1b(B\x1b)B");
        // Setting margins moves the cursor.
        undo(self.margins, "\x1b7\x1b[r\x1b8");
        undo(self.keypad, "\x1b>");
        undo(self.cursor, "\x1b[0 q");
        text.into_bytes()
    }
}
