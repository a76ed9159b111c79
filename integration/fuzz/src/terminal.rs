//! The filter between a command and its caller's terminal: whatever the bytes and however they are cut,
//! what passes is text and sequences that pass again unchanged, and none that begins a string.
#![no_main]

// The modules themselves: the package they are of builds the shim, which is not linked with counters.
#[path = "../../../supervisor/src/terminal/allowed.rs"]
mod allowed;
#[path = "../../../supervisor/src/terminal/filter.rs"]
mod filter;
#[path = "../../../supervisor/src/terminal/modes.rs"]
mod modes;

use filter::Filter;
use sandboxd_profiles::Escape;

const EVERYTHING: &[Escape] = &[Escape::Links, Escape::Title, Escape::Clipboard, Escape::Reports];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let escapes = if first % 2 == 0 { &[][..] } else { EVERYTHING };
    let size = usize::from(first / 2).max(1);
    let mut filter = Filter::new(escapes);
    assert!(!filter.may_be_answered(), "nothing was asked yet");
    let whole = passed(&mut filter, rest.len().max(1), rest);
    assert_eq!(whole, passed(&mut Filter::new(escapes), size, rest), "cut in pieces of {size}");
    let text = str::from_utf8(&whole).expect("what passes is UTF-8");
    assert!(!text.chars().any(|one| ('\u{80}'..='\u{9f}').contains(&one)), "8-bit controls");
    assert_eq!(whole, passed(&mut Filter::new(escapes), whole.len().max(1), &whole), "again");
    if escapes.is_empty() {
        for string in ["\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX"] {
            assert!(!text.contains(string), "a string begins");
        }
    }
    // The guard that may have to write it takes no more.
    let undo = filter.undo();
    assert!(undo.len() < 1024, "more than a guard takes: {}", undo.len());
});

fn passed(filter: &mut Filter, size: usize, bytes: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    bytes.chunks(size).for_each(|piece| filter.pass(piece, &mut output));
    output
}
