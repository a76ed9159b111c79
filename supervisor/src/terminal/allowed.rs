//! The control sequences that may pass: a list of what draws, and what the profile allows beyond.

use super::modes::{Modes, is_known};
use sandboxd_profiles::Escape;

/// Text that a terminal keeps: an address, a title.
const LONGEST_TEXT: usize = 4096;

/// What the profile allows beyond drawing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    links: bool,
    title: bool,
    clipboard: bool,
    reports: bool,
}

impl Allowed {
    pub(super) fn new(escapes: &[Escape]) -> Self {
        Self {
            links: escapes.contains(&Escape::Links),
            title: escapes.contains(&Escape::Title),
            clipboard: escapes.contains(&Escape::Clipboard),
            reports: escapes.contains(&Escape::Reports),
        }
    }
}

/// A control sequence: `ESC [`, and then these.
pub(super) struct Control<'a> {
    /// One of `< = > ?`, which makes the rest a private matter of terminals.
    private: Option<u8>,
    /// Numbers with `;` and `:` between them.
    parameters: &'a [u8],
    /// Bytes before the last, of which no sequence that passes has more than one.
    intermediate: Option<u8>,
    last: u8,
}

impl<'a> Control<'a> {
    /// From everything behind the introducer; nothing where it is no sequence.
    pub(super) fn parse(held: &'a [u8]) -> Option<Self> {
        let (last, body) = held.split_last()?;
        let end = body.iter().position(|byte| *byte < 0x30).unwrap_or(body.len());
        let (head, intermediates) = body.split_at(end);
        let (private, parameters) = match head.split_first() {
            Some((marker @ b'<'..=b'?', parameters)) => (Some(*marker), parameters),
            Some(_) | None => (None, head),
        };
        let numbers = parameters.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
        let intermediate = match intermediates {
            [] => None,
            [one] => Some(*one),
            _ => return None,
        };
        numbers.then_some(Self { private, parameters, intermediate, last: *last })
    }

    /// Its parameters as numbers; one that is missing or too large is 0.
    fn numbers(&self) -> impl Iterator<Item = u16> {
        self.parameters.split(|byte| *byte == b';').map(|digits| {
            std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        })
    }

    fn first(&self) -> u16 {
        self.numbers().next().unwrap_or(0)
    }

    fn whole(&self) -> Vec<u8> {
        let ends = self.intermediate.into_iter().chain([self.last]);
        self.private.into_iter().chain(self.parameters.iter().copied()).chain(ends).collect()
    }
}

/// What passes of a control sequence, behind its introducer.
pub(super) fn control(
    sequence: &Control<'_>,
    allowed: &Allowed,
    modes: &mut Modes,
) -> Option<Vec<u8>> {
    let Control { private, parameters, intermediate, last } = *sequence;
    let passes = match (private, intermediate, last) {
        // Cursor, erasing, inserting, scrolling, repetition. Not g: no terminal sets all its tabulators again.
        (
            None,
            None,
            b'@' | b'A'..=b'M' | b'P' | b'X' | b'Z' | b'`' | b'a' | b'b' | b'd'..=b'f',
        )
        | (Some(b'?'), None, b'J' | b'K') => true,
        // With more numbers, T begins a kind of mouse report.
        (None, None, b'S' | b'T') => !parameters.contains(&b';'),
        // With numbers, these set margins or restore modes.
        (None, None, b's' | b'u') => parameters.is_empty(),
        (None, None, b'm') => modes.drawn(sequence.last, parameters),
        (None, None, b'r') | (None, Some(b' '), b'q') => modes.drawn(sequence.last, parameters),
        // Not all terminals know it: nothing is taken for undone by it.
        (None, Some(b'!'), b'p') => true,
        (None | Some(b'?'), None, b'h' | b'l') => return switch(sequence, modes),
        // How keys are told, kitty's way and xterm's.
        (Some(b'>' | b'<' | b'='), None, b'u') => {
            return modes.keys(private, sequence.first(), &sequence.whole());
        }
        (Some(b'>'), None, b'm') => sequence.first() == 4 && modes.other_keys(),
        (None, None, b't') if matches!(sequence.first(), 22 | 23) => allowed.title,
        (None, None, b't') if matches!(sequence.first(), 14 | 16 | 18) => {
            allowed.reports && modes.asked()
        }
        // What it is, its state, where the cursor is, how a mode or the keyboard is set.
        (_, None, b'c')
        | (None | Some(b'?'), None, b'n')
        | (None | Some(b'?'), Some(b'$'), b'p')
        | (Some(b'>'), None, b'q')
        | (Some(b'?'), None, b'u' | b'm') => allowed.reports && modes.asked(),
        _ => false,
    };
    passes.then(|| sequence.whole())
}

/// Modes that are switched on or off: those that are known, whatever stands beside them.
fn switch(sequence: &Control<'_>, modes: &mut Modes) -> Option<Vec<u8>> {
    let private = sequence.private.is_some();
    let known: Vec<u16> = sequence.numbers().filter(|mode| is_known(private, *mode)).collect();
    if known.is_empty() {
        return None;
    }
    for mode in &known {
        modes.switch(private, *mode, sequence.last == b'h');
    }
    let numbers: Vec<String> = known.iter().map(u16::to_string).collect();
    let mut passing: Vec<u8> = sequence.private.into_iter().collect();
    passing.extend_from_slice(numbers.join(";").as_bytes());
    passing.push(sequence.last);
    Some(passing)
}

/// Whether ESC and this byte draw: save and restore, keypad, line feeds, a fresh start. Not H, which sets a tabulator.
pub(super) const fn escape(byte: u8) -> bool {
    matches!(byte, b'7' | b'8' | b'=' | b'>' | b'D' | b'E' | b'M' | b'c')
}

/// Whether an operating system command may pass, by what stands between introducer and end.
pub(super) fn string(held: &[u8], allowed: &Allowed, modes: &mut Modes) -> bool {
    let Ok(text) = std::str::from_utf8(held) else { return false };
    if text.chars().any(char::is_control) {
        return false;
    }
    let Some((number, rest)) = text.split_once(';') else { return false };
    let short = text.len() <= LONGEST_TEXT;
    match number {
        "8" if allowed.links && short => {
            // `8;PARAMETERS;ADDRESS`; without an address the link ends.
            modes.linked(!rest.ends_with(';'));
            rest.contains(';')
        }
        "0" | "1" | "2" => allowed.title && short,
        // Written, never asked for: the answer would be what the user copied last.
        "52" => allowed.clipboard && rest.split_once(';').is_some_and(|(_, data)| is_base64(data)),
        "10" | "11" | "12" => allowed.reports && rest == "?" && modes.asked(),
        "4" => {
            let question = rest.strip_suffix(";?");
            let index = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            question.is_some_and(index) && allowed.reports && modes.asked()
        }
        _ => false,
    }
}

fn is_base64(data: &str) -> bool {
    data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}
