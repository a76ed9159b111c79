//! Bytes as text: hexadecimal, and base64 as in RFC 4648.

use base64ct::{Base64, Encoding as _};

/// As lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    text.extend(digits.map(char::from));
    text
}

/// The bytes of lower-case hexadecimal digits; nothing for anything else.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// A byte of a string of JSON, RFC 8259, section 7, as serde_json writes it: so many of these bytes.
#[must_use]
pub fn in_json(byte: u8) -> ([u8; 6], usize) {
    let short = |letter: u8| ([b'\\', letter, 0, 0, 0, 0], 2);
    match byte {
        b'"' | b'\\' => short(byte),
        b'\n' => short(b'n'),
        b'\r' => short(b'r'),
        b'\t' => short(b't'),
        0..=31 => ([b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)], 6),
        _ => ([byte, 0, 0, 0, 0, 0], 1),
    }
}

/// A hexadecimal digit.
pub(crate) const fn digit(four: u8) -> u8 {
    if four < 10 { b'0' + four } else { b'a' + (four - 10) }
}

/// The last two characters of an alphabet are all that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// `+` and `/`.
    Standard,
    /// `-` and `_`.
    UrlSafe,
}

/// One character of base64.
pub(crate) const fn character(six: u8, alphabet: Alphabet) -> u8 {
    match (six, alphabet) {
        (0..=25, _) => b'A' + six,
        (26..=51, _) => b'a' + (six - 26),
        (52..=61, _) => b'0' + (six - 52),
        (62, Alphabet::Standard) => b'+',
        (62, Alphabet::UrlSafe) => b'-',
        (_, Alphabet::Standard) => b'/',
        (_, Alphabet::UrlSafe) => b'_',
    }
}

/// With the padding, as notes have it.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// What [`base64`] encoded; nothing for text that it would not have made.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(unbase64(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
        // Bits beyond the last byte, missing padding, foreign characters.
        for text in ["Zh==", "Zg", "Zg=", "Z", "Zm 9v", "Zm9v===="] {
            assert_eq!(unbase64(text), None, "{text}");
        }
    }

    #[test]
    fn only_lower_case_hexadecimal_of_the_right_length_is_read() {
        assert_eq!(hex(&[0, 0xab, 0x1f]), "00ab1f");
        assert_eq!(unhex("00ab1f"), Some([0, 0xab, 0x1f]));
        assert_eq!(unhex::<3>("00AB1F"), None);
        assert_eq!(unhex::<3>("00ab1"), None);
        assert_eq!(unhex::<3>("00ab1g"), None);
    }
}
