//! What passes, what does not, and that it does not depend on how the output is cut.

use super::*;

const EVERYTHING: &[Escape] = &[Escape::Links, Escape::Title, Escape::Clipboard, Escape::Reports];

/// The same bytes, whole and in pieces of every size up to 7.
fn filtered(escapes: &[Escape], input: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    Filter::new(escapes).pass(input, &mut whole);
    for size in 1..8 {
        let mut pieces = Vec::new();
        let mut filter = Filter::new(escapes);
        input.chunks(size).for_each(|piece| filter.pass(piece, &mut pieces));
        assert_eq!(whole, pieces, "in pieces of {size}");
    }
    whole
}

#[test]
fn text_and_what_draws_it_passes_unchanged() {
    for text in [
        "plain\r\n\tand tabs\x08\x07",
        "grüße, 日本, 🦀, \u{69b}6n",
        "\x1b[1;31mred\x1b[0m",
        "\x1b[2J\x1b[10;20H\x1b[K\x1b[?1049h\x1b[?25l",
        "\x1b(B\x1b)0\x0e\x0f\x1b7\x1b8\x1b=\x1b>\x1bM",
        "\x1b[38;2;1;2;3m\x1b[4:3m",
        "\x1b[2 q\x1b[!p\x1b[5;10r\x1b[3S\x1b[s\x1b[u\x1b[?2004h",
        "\x1b[?1006;1000h\x1b[>1u\x1b[<1u\x1b[>4;2m",
    ] {
        assert_eq!(filtered(&[], text.as_bytes()), text.as_bytes(), "{text:?}");
    }
}

#[test]
fn what_acts_or_asks_does_not_pass() {
    for (name, attack) in [
        ("clipboard", &b"\x1b]52;c;ZXZpbA==\x07"[..]),
        ("clipboard, ended by ST", b"\x1b]52;c;ZXZpbA==\x1b\\"),
        ("title", b"\x1b]0;title\x07"),
        ("a title with ST in a character", "\x1b]0;\u{2733} busy\x07".as_bytes()),
        ("link", b"\x1b]8;;http://evil\x07"),
        ("colour question", b"\x1b]11;?\x07"),
        ("colour", b"\x1b]11;#000000\x07"),
        ("current folder", b"\x1b]7;file:///\x07"),
        ("notification", b"\x1b]777;notify;a;b\x07"),
        ("device control", b"\x1bP$q\"p\x1b\\"),
        ("privacy message", b"\x1b^x\x1b\\"),
        ("application command", b"\x1b_Gx\x1b\\"),
        ("start of string", b"\x1bXx\x1b\\"),
        ("cursor position report", b"\x1b[6n"),
        ("device status, private", b"\x1b[?6n"),
        ("device attributes", b"\x1b[c"),
        ("secondary device attributes", b"\x1b[>c"),
        ("tertiary device attributes", b"\x1b[=c"),
        ("title report", b"\x1b[21t"),
        ("resize", b"\x1b[8;1;1t"),
        ("title stack", b"\x1b[22;0;0t"),
        ("tabulators cleared", b"\x1b[3g"),
        ("a tabulator", b"\x1bH"),
        ("mode report", b"\x1b[?2004$p"),
        ("version report", b"\x1b[>q"),
        ("keyboard report", b"\x1b[?u"),
        ("keys of others", b"\x1b[<u"),
        ("keys of others set", b"\x1b[=1u"),
        ("terminal parameters", b"\x1b[x"),
        ("printer", b"\x1b[5i"),
        ("keyboard locked", b"\x1b[2h"),
        ("132 columns", b"\x1b[?3h"),
        ("colour scheme reports", b"\x1b[?2031h"),
        ("highlight tracking", b"\x1b[1;1;1;1;1T"),
        ("identify", b"\x1bZ"),
        ("another encoding", b"\x1b%@"),
        ("answer back", b"\x05"),
        ("8-bit answers", b"\x1b G"),
        ("8-bit string", b"\x9d52;c;x\x9c"),
        ("8-bit report", b"\x9b6n"),
        ("8-bit string in UTF-8", "\u{9d}52;c;x\u{7}".as_bytes()),
        ("8-bit report in UTF-8", "\u{9b}6n".as_bytes()),
        ("lone control", b"\x85"),
    ] {
        let mut input = b"<".to_vec();
        input.extend_from_slice(attack);
        input.extend_from_slice(b">");
        let passed = filtered(&[], &input);
        let expected: &[u8] = if name == "8-bit answers" { b"<G>" } else { b"<>" };
        let expected = if name == "another encoding" { b"<@>" } else { expected };
        assert_eq!(passed, expected, "{name}");
    }
}

#[test]
fn what_the_profile_allows_passes_and_no_more() {
    for (escape, passes) in [
        (Escape::Links, &["\x1b]8;;https://example.com\x1b\\"][..]),
        (Escape::Title, &["\x1b]0;\u{2733} busy\x1b\\", "\x1b[22;0;0t"]),
        (Escape::Clipboard, &["\x1b]52;c;ZXZpbA==\x1b\\"]),
        (Escape::Reports, &["\x1b[6n", "\x1b[c", "\x1b[>c", "\x1b[?u", "\x1b]11;?\x1b\\"]),
    ] {
        for text in passes {
            assert_eq!(filtered(&[escape], text.as_bytes()), text.as_bytes(), "{text:?}");
            let others: Vec<Escape> =
                EVERYTHING.iter().copied().filter(|other| *other != escape).collect();
            assert_eq!(filtered(&others, text.as_bytes()), b"", "{text:?}");
        }
    }
    for never in
        ["\x1b]52;c;?\x07", "\x1b[21t", "\x1bP+q544e\x1b\\", "\x1b]0;a\u{9b}6n\x07", "\x1b[5i"]
    {
        assert_eq!(filtered(EVERYTHING, never.as_bytes()), b"", "{never:?}");
    }
}

#[test]
fn a_sequence_inside_a_sequence_hides_nothing() {
    for (input, passed) in [
        (&b"\x1b[\x1b[6n>"[..], &b">"[..]),
        (b"\x1b]0;x\x1b[6n>", b">"),
        (b"\x1b\x1b]0;x\x07>", b">"),
        // Cancelled, then text.
        (b"\x1b[6\x18n", b"n"),
        (b"\x1b[?3;25;2031h", b"\x1b[?25h"),
        // The beginning of a character does not shield what follows it.
        (b"\xe2\x1b[6n>", "\u{fffd}>".as_bytes()),
        (b"\xe2\xc2\x9b6n>", "\u{fffd}>".as_bytes()),
        (b"\xff\xc0\xaf", "\u{fffd}\u{fffd}\u{fffd}".as_bytes()),
        // A line feed in the middle of a sequence is one.
        (b"\x1b[3\n1m", b"\n\x1b[31m"),
    ] {
        assert_eq!(filtered(&[], input), passed, "{input:?}");
    }
}

#[test]
fn what_has_no_end_is_neither_kept_nor_shown() {
    for introducer in [&b"\x1b["[..], b"\x1b]0;", b"\x1bP", b"\x1b]52;c;"] {
        let mut filter = Filter::new(EVERYTHING);
        let mut output = Vec::new();
        filter.pass(introducer, &mut output);
        filter.pass(&vec![b'1'; 1 << 20], &mut output);
        assert!(filter.held.capacity() <= 2 * LONGEST_STRING);
        filter.pass(b"\x07", &mut output);
        assert!(!output.contains(&ESC));
    }
}

#[test]
fn what_is_left_on_is_undone() {
    let mut filter = Filter::new(EVERYTHING);
    let mut output = Vec::new();
    let changes = "\x1b[?1049h\x1b[?1000;1006h\x1b[?2004h\x1b[?25l\x1b[?2004l\x1b[?7l\x1b[4h";
    filter.pass(changes.as_bytes(), &mut output);
    filter.pass(b"\x1b[31m\x1b[2;5r\x1b(0\x1b=\x1b[>1u\x1b]8;;x:y\x07\x1b[4 q", &mut output);
    let undone = "\x1b]8;;\x1b\\\x1b[<1u\x1b[?1049l\x1b[?1000l\x1b[?1006l\x1b[?25h\x1b[?7h\x1b[4l\
                  \x1b[0m\x0f\x1b(B\x1b)B\x1b7\x1b[r\x1b8\x1b>\x1b[0 q";
    assert_eq!(String::from_utf8_lossy(&filter.undo()), undone);
    assert!(filter.may_be_answered());
    let mut filter = Filter::new(&[]);
    filter.pass(b"\x1b[m\x1b[?25l\x1b[?25h\x1b[?2004h\x1b[?2004l\x1b[5 q\x1b[ q", &mut output);
    assert_eq!(filter.undo(), b"");
    assert!(!filter.may_be_answered());
}

/// Terminals bring back what was saved with the cursor and what another screen had, and not all know a soft reset.
#[test]
fn what_a_terminal_may_bring_back_is_undone() {
    for (changes, undone) in [
        // Concealed letters, saved with the cursor, or with the screen that is left.
        ("\x1b[8m\x1b7\x1b[0m\x1b8", "\x1b[0m"),
        ("\x1b[8m\x1b[?1049h\x1b[0m", "\x1b[?1049l\x1b[0m"),
        ("\x1b[30;40m\x1b[s\x1b[0m\x1b[u", "\x1b[0m"),
        ("\x1b[?6;7l\x1b[?6h\x1b7\x1b[?7h\x1b[?6l\x1b8", "\x1b[?7h\x1b[?6l"),
        ("\x1b[4h\x1b(0\x1b[!p", "\x1b[4l\x0f\x1b(B\x1b)B"),
        // Each screen has a stack of keyboard modes.
        ("\x1b[>31u\x1b[?1049h\x1b[<1u", "\x1b[?1049l\x1b[<1u"),
        ("\x1b[?1049h\x1b[>31u\x1b[?1049l", "\x1b[?47h\x1b[<1u\x1b[?47l"),
        ("\x1b[?47h\x1b[?1049l\x1b[>31u\x1b[?47l", "\x1b[<1u"),
        ("\x1b[?1049h\x1bc\x1b[>31u\x1b[?1049l", "\x1b[<1u"),
    ] {
        let mut filter = Filter::new(&[]);
        filter.pass(changes.as_bytes(), &mut Vec::new());
        assert_eq!(String::from_utf8_lossy(&filter.undo()), undone, "{changes:?}");
    }
}

/// Made-up output, cut at random: what passes is UTF-8, has no 8-bit controls, and passes again
/// unchanged, so that nothing in it is more than what was let through.
#[test]
fn whatever_comes_what_passes_is_text_and_known_sequences() {
    const PARTS: &[&[u8]] = &[
        b"\x1b",
        b"[",
        b"]",
        b"P",
        b"\\",
        b"\x07",
        b"\x9b",
        b"\x9d",
        b"\x9c",
        b"\xc2",
        b"6n",
        b"?",
        b"25",
        b"h",
        b"l",
        b"c",
        b";",
        b"52;c;",
        b"8;;a",
        b"m",
        b"\xe2\x9c",
        b"\xb3",
        b"(",
        b"0",
        b"\x18",
        b"\n",
        b">",
        b"u",
        b" q",
        b"$p",
        b"t",
        b"22",
        b"x",
        b"\x0e",
        b"\xf0\x9f",
        b"\xa6\x80",
        b"=",
        b"<",
    ];
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % u64::try_from(below).unwrap_or(1)).unwrap_or(0)
    };
    for round in 0..20_000 {
        let escapes = if round % 2 == 0 { &[][..] } else { EVERYTHING };
        let count = random(12);
        let input: Vec<u8> =
            (0..count).flat_map(|_| PARTS[random(PARTS.len())].iter().copied()).collect();
        let passed = filtered(escapes, &input);
        let text = std::str::from_utf8(&passed).unwrap();
        assert!(!text.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c)), "{input:?}");
        assert_eq!(filtered(escapes, &passed), passed, "{input:?} gave {passed:?}");
        if escapes.is_empty() {
            for bad in ["\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX"] {
                assert!(!text.contains(bad), "{input:?} gave {text:?}");
            }
        }
    }
}
