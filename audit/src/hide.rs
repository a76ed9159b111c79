//! A secret that is held by sandboxd, looked for in a text in every form in which it is likely to stand
//! there. All that is known of it lies in memory that is never on a disk, and nothing here tells it.

use crate::encode::{Alphabet, character, digit, in_json};
use rustix::io::Result;
use sandboxd_kernel::locked::Locked;
use std::fmt;
use std::ops::Range;
use zeroize::Zeroizing;

/// A shorter value would be found everywhere.
pub const SHORTEST: usize = 6;
/// A longer line is looked for in pieces.
const LONGEST: usize = 4096;
/// More pieces are a file of data, and every record would be looked through for each.
const MOST: usize = 512;
/// A bit for each byte.
const BITS: usize = 32;

/// One secret.
pub struct Hidden {
    name: String,
    /// One form after the other, and behind them for each byte whether one begins with it.
    bytes: Locked,
    /// Where each form is, in the order of their letters.
    places: Vec<Range<usize>>,
    /// Where the bits are.
    begins: Range<usize>,
}

impl fmt::Debug for Hidden {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Hidden({})", self.name)
    }
}

impl Hidden {
    /// For this value, by the name that stands for it afterwards.
    ///
    /// # Errors
    /// Where no memory can be locked; `E2BIG` where it has so many lines that it cannot be looked for.
    pub fn of(name: &str, value: &[u8]) -> Result<Self> {
        let values = looked_for(value);
        if is_too_much(value) {
            return Err(rustix::io::Errno::TOOBIG);
        }
        let all: usize = values.iter().flat_map(|value| forms(value)).map(Iterator::count).sum();
        let mut bytes = Locked::with_room(all + BITS)?;
        let mut places: Vec<Range<usize>> = Vec::new();
        for form in values.iter().flat_map(|value| forms(value)) {
            let from = bytes.bytes().len();
            bytes.extend(|room| {
                let mut length = 0;
                for (to, from) in room.iter_mut().zip(form) {
                    *to = from;
                    length += 1;
                }
                Ok::<_, rustix::io::Errno>(length)
            })?;
            places.push(from..bytes.bytes().len());
        }
        let letters = |place: &Range<usize>| {
            let form = bytes.bytes().get(place.clone()).unwrap_or_default();
            form.iter().map(u8::to_ascii_lowercase)
        };
        places.sort_by(|one, other| letters(one).cmp(letters(other)));
        places.dedup_by(|one, other| letters(one).eq(letters(other)));
        let firsts: Zeroizing<Vec<u8>> =
            Zeroizing::new(places.iter().filter_map(|place| letters(place).next()).collect());
        let begins = all..all + BITS;
        bytes.extend(|room| {
            for first in firsts.iter() {
                set(room, *first);
                set(room, first.to_ascii_uppercase());
            }
            Ok::<_, rustix::io::Errno>(BITS)
        })?;
        Ok(Self { name: name.to_owned(), bytes, places, begins })
    }

    /// Whether it looks for the same under the same name.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let bytes = self.bytes.bytes() == other.bytes.bytes();
        bytes && self.name == other.name && self.places == other.places
    }

    /// The name that stands for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn form(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.bytes().get(place.clone()).unwrap_or_default()
    }

    /// How long the longest form is that begins here. Names of hosts come in small letters, and so case
    /// is no difference.
    fn longest_at(&self, text: &[u8]) -> Option<usize> {
        let begins = beginning(text)?;
        let before = |place: &Range<usize>| beginning(self.form(place)) < Some(begins);
        let from = self.places.partition_point(before);
        let alike = self.places.get(from..)?.iter().map(|place| self.form(place));
        let alike = alike.take_while(|form| beginning(form) == Some(begins));
        let here = alike.filter(|form| {
            text.get(..form.len()).is_some_and(|text| text.eq_ignore_ascii_case(form))
        });
        here.map(<[u8]>::len).max()
    }
}

/// The first bytes, in small letters: no form has fewer.
fn beginning(bytes: &[u8]) -> Option<[u8; 4]> {
    bytes.first_chunk::<4>().map(|four| four.map(|byte| byte.to_ascii_lowercase()))
}

/// Whether it can be found in a text: something of it is long enough.
#[must_use]
pub fn is_found(value: &[u8]) -> bool {
    !looked_for(value).is_empty()
}

/// Whether it has so many lines that it cannot be looked for.
#[must_use]
pub fn is_too_much(value: &[u8]) -> bool {
    looked_for(value).len() > MOST
}

/// The text with the name of each in the place of each of its forms; nothing where there is none of them. All
/// are looked for together, and what begins within another is covered with it: of two that share bytes, no part
/// is left.
#[must_use]
pub fn clean<'h>(all: impl Iterator<Item = &'h Hidden> + Clone, text: &str) -> Option<String> {
    if text.len() < SHORTEST {
        return None;
    }
    let mut begins = Zeroizing::new([0_u8; BITS]);
    for hidden in all.clone() {
        let bits = hidden.form(&hidden.begins);
        begins.iter_mut().zip(bits).for_each(|(to, from)| *to |= from);
    }
    let longest_at = |at: usize| {
        let here = text.as_bytes().get(at..)?;
        is_set(&*begins, *here.first()?)
            .then(|| all.clone().filter_map(|it| Some((it.longest_at(here)?, it))))?
            .max_by_key(|(length, _)| *length)
    };
    let mut clean = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while at < text.len() {
        let Some((length, hidden)) = longest_at(at) else {
            at += 1;
            continue;
        };
        clean.extend_from_slice(text.as_bytes().get(copied..at).unwrap_or_default());
        clean.extend_from_slice(format!("«secret:{}»", hidden.name).as_bytes());
        let mut end = at + length;
        while at + 1 < end {
            at += 1;
            end = longest_at(at).map_or(end, |(length, _)| end.max(at + length));
        }
        (at, copied) = (end, end);
    }
    if copied == 0 {
        return None;
    }
    clean.extend_from_slice(text.as_bytes().get(copied..).unwrap_or_default());
    Some(String::from_utf8_lossy(&clean).into_owned())
}

fn set(bits: &mut [u8], byte: u8) {
    if let Some(eight) = bits.get_mut(usize::from(byte / 8)) {
        *eight |= 1 << (byte % 8);
    }
}

fn is_set(bits: &[u8], byte: u8) -> bool {
    bits.get(usize::from(byte / 8)).is_some_and(|eight| eight & (1 << (byte % 8)) != 0)
}

/// What is looked for: the whole of it, and where it has several lines, each; what is long, in pieces. What is short is
/// not.
#[must_use]
pub fn looked_for(value: &[u8]) -> Vec<&[u8]> {
    let mut values: Vec<&[u8]> = Vec::new();
    let lines = value.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let whole = value.strip_suffix(b"\n").unwrap_or(value);
    let whole = Some(whole).filter(|whole| whole.len() <= LONGEST);
    for one in whole.into_iter().chain(lines.flat_map(|line| line.chunks(LONGEST))) {
        if one.len() >= SHORTEST && values.len() <= MOST && !values.contains(&one) {
            values.push(one);
        }
    }
    values
}

/// A form, byte by byte, so that it is never whole anywhere else.
pub type Form<'v> = Box<dyn Iterator<Item = u8> + 'v>;

/// How a value may stand in a text: as it is, in base64 wherever it begins in it, in hexadecimal, percent-encoded, and
/// as a string of JSON. Case is to be no difference: digits are small letters here. Each is there once.
#[must_use]
pub fn forms(value: &[u8]) -> Vec<Form<'_>> {
    let alphabets = [Alphabet::Standard, Alphabet::UrlSafe];
    // What stands before it in the encoded text shifts it by none, one or two bytes.
    let shifts = alphabets.into_iter().flat_map(|alphabet| (0..3).map(move |by| (by, alphabet)));
    let spellings = [Spelling::Plain, Spelling::Hex].into_iter();
    let spellings = spellings.chain(shifts.map(|(by, alphabet)| Spelling::Base64(by, alphabet)));
    let spellings = spellings.chain(ENCODERS.iter().map(Spelling::Percent));
    let spellings = spellings.chain(WRITERS.iter().map(Spelling::Json));
    let mut differ: Vec<Spelling> = Vec::new();
    for one in spellings {
        if !differ.iter().any(|other| other.of(value).eq(one.of(value))) {
            differ.push(one);
        }
    }
    differ.into_iter().map(|spelling| spelling.of(value)).collect()
}

/// One way to write a value.
#[derive(Clone, Copy)]
enum Spelling {
    Plain,
    Hex,
    /// As it stands in a text so many bytes after the beginning of a group.
    Base64(usize, Alphabet),
    Percent(&'static Encoder),
    Json(&'static Writer),
}

impl Spelling {
    fn of(self, value: &[u8]) -> Form<'_> {
        match self {
            Self::Plain => Box::new(value.iter().copied()),
            Self::Hex => {
                Box::new(value.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]))
            }
            Self::Base64(shift, alphabet) => shifted(value, shift, alphabet),
            Self::Percent(encoder) => encoder.text(value),
            Self::Json(writer) => writer.string(value),
        }
    }
}

/// How a text is percent-encoded, of what may be left as it is.
struct Encoder {
    /// What is, beside letters and digits.
    plain: &'static [u8],
    /// Whether a space is a plus.
    plus: bool,
}

/// RFC 3986, as .NET, curl, PHP's rawurlencode, and Python where nothing is safe; Rust; Python's quote; JavaScript's
/// encodeURIComponent, encodeURI and escape; Go's PathEscape, and its paths; the paths, queries and users in URLs of
/// browsers. Then forms: of Python, Go and Ruby; of browsers and Java; of PHP; of .NET.
const ENCODERS: [Encoder; 15] = [
    Encoder { plain: b"-._~", plus: false },
    Encoder { plain: b"", plus: false },
    Encoder { plain: b"-._~/", plus: false },
    Encoder { plain: b"-._~!'()*", plus: false },
    Encoder { plain: b"-._~!'()*#$&+,/:;=?@", plus: false },
    Encoder { plain: b"-._*+/@", plus: false },
    Encoder { plain: b"-._~$&+:=@", plus: false },
    Encoder { plain: b"-._~$&+,/:;=@", plus: false },
    Encoder { plain: b"-._~!$%&'()*+,/:;=@[\\]|", plus: false },
    Encoder { plain: b"-._~!$%&()*+,/:;=?@[\\]^`{|}", plus: false },
    Encoder { plain: b"-._~!$%&'()*+,", plus: false },
    Encoder { plain: b"-._~", plus: true },
    Encoder { plain: b"-._*", plus: true },
    Encoder { plain: b"-._", plus: true },
    Encoder { plain: b"-._!()*", plus: true },
];

impl Encoder {
    fn text<'v>(&'static self, value: &'v [u8]) -> Form<'v> {
        Box::new(value.iter().flat_map(|byte| {
            let (bytes, length) = match *byte {
                b' ' if self.plus => ([b'+', 0, 0], 1),
                byte if byte.is_ascii_alphanumeric() || self.plain.contains(&byte) => {
                    ([byte, 0, 0], 1)
                }
                byte => ([b'%', digit(byte >> 4), digit(byte & 15)], 3),
            };
            bytes.into_iter().take(length)
        }))
    }
}

/// How a string of JSON is written, of what may be written in several ways.
struct Writer {
    /// Letters that are told by their numbers.
    numbered: &'static [u8],
    /// Whether a slash has a backslash before it.
    slash: bool,
    /// Whether what is not ASCII is told by its numbers.
    ascii: bool,
}

/// serde_json and JavaScript; Go; Gson; Python; PHP, in two ways; .NET.
const WRITERS: [Writer; 7] = [
    Writer { numbered: b"", slash: false, ascii: false },
    Writer { numbered: b"&<>", slash: false, ascii: false },
    Writer { numbered: b"&'<=>", slash: false, ascii: false },
    Writer { numbered: b"", slash: false, ascii: true },
    Writer { numbered: b"", slash: true, ascii: true },
    Writer { numbered: b"", slash: true, ascii: false },
    Writer { numbered: b"\"&'+<>`", slash: false, ascii: true },
];

impl Writer {
    fn string<'v>(&'static self, value: &'v [u8]) -> Form<'v> {
        Box::new(value.utf8_chunks().flat_map(|chunk| {
            let text = chunk.valid().chars().flat_map(|letter| {
                let (bytes, length) = self.letter(letter);
                bytes.into_iter().take(length)
            });
            text.chain(chunk.invalid().iter().copied())
        }))
    }

    fn letter(&self, letter: char) -> ([u8; 12], usize) {
        let mut bytes = [0; 12];
        let plain = u8::try_from(letter).ok().filter(u8::is_ascii);
        let length = match plain {
            Some(b'/') if self.slash => copy(&mut bytes, b"\\/"),
            Some(byte) if !self.numbered.contains(&byte) => {
                let (escaped, length) = in_json(byte);
                copy(&mut bytes, escaped.get(..length).unwrap_or_default())
            }
            None if !self.ascii => letter.encode_utf8(&mut bytes).len(),
            Some(_) | None => {
                let mut units = [0; 2];
                let units = letter.encode_utf16(&mut units);
                for (to, unit) in bytes.chunks_exact_mut(6).zip(&*units) {
                    let [high, low] = unit.to_be_bytes();
                    let digits = [high >> 4, high & 15, low >> 4, low & 15].map(digit);
                    copy(to, b"\\u");
                    copy(to.get_mut(2..).unwrap_or_default(), &digits);
                }
                6 * units.len()
            }
        };
        (bytes, length)
    }
}

fn copy(to: &mut [u8], from: &[u8]) -> usize {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    from.len()
}

/// The characters of base64 that the value alone decides, where it begins `shift` bytes into a group.
fn shifted(value: &[u8], shift: usize, alphabet: Alphabet) -> Form<'_> {
    let (from, to) = ((shift * 8).div_ceil(6), (value.len() + shift) * 8 / 6);
    let byte = move |place: usize| {
        place.checked_sub(shift).and_then(|place| value.get(place)).copied().unwrap_or(0)
    };
    Box::new((from..to).map(move |place| {
        let (first, bit) = (place * 6 / 8, place * 6 % 8);
        let two = u16::from_be_bytes([byte(first), byte(first + 1)]);
        let six = (two >> (10 - bit)) & 63;
        character(six.to_le_bytes()[0], alphabet)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::base64;

    fn cleaned(hidden: &Hidden, text: &str) -> Option<String> {
        clean(std::iter::once(hidden), text)
    }

    const SECRET: &str = "s3cr3t/\"va?lue+";

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        let hidden = Hidden::of("model", SECRET.as_bytes()).unwrap();
        let json = serde_json::Value::from(SECRET).to_string();
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02X}")).collect();
        let mut texts = vec![
            format!("before {SECRET} after"),
            format!("{{\"key\":{json}}}"),
            format!("https://{hex}.example"),
            SECRET.to_uppercase(),
            String::from("https://host/?key=s3cr3t%2F%22va%3Flue%2B&x=1"),
            String::from("https://host/?key=s3cr3t%2f%22va%3flue%2b&x=1"),
        ];
        for before in ["", "a", "ab", "user:"] {
            for after in ["", "z", "zz"] {
                let text = base64(format!("{before}{SECRET}{after}").as_bytes());
                texts.push(text.replace('+', "-").replace('/', "_"));
                texts.push(text);
            }
        }
        for text in texts {
            let clean = cleaned(&hidden, &text).unwrap();
            assert!(clean.contains("«secret:model»"), "{text} -> {clean}");
            assert!(!clean.contains("s3cr3t"), "{clean}");
        }
    }

    #[test]
    fn each_line_of_a_file_is_looked_for_and_what_is_none_stays() {
        let hidden = Hidden::of("key", b"BEGIN KEY\r\nabcdefgh\n\nend\n").unwrap();
        assert_eq!(cleaned(&hidden, "x abcdefgh y").unwrap(), "x «secret:key» y");
        for text in ["end", "", "begin", "ü"] {
            assert_eq!(cleaned(&hidden, text), None, "{text}");
        }
        assert_eq!(cleaned(&Hidden::of("short", b"abc\n").unwrap(), "abc"), None);
        let text = "ä«BEGIN KEY»ß";
        assert_eq!(cleaned(&hidden, text).unwrap(), "ä««secret:key»»ß");
        assert!(!format!("{hidden:?}").contains("BEGIN"));
    }

    #[test]
    fn a_long_line_and_the_last_of_many_are_looked_for_and_a_file_of_data_is_none() {
        let text: String = (0..1800).map(|place| format!("{place:04},")).collect();
        let clean = cleaned(&Hidden::of("long", text.as_bytes()).unwrap(), &text).unwrap();
        assert_eq!(clean, "«secret:long»".repeat(3));
        let lines: Vec<String> = (0..200).map(|line| format!("line-{line:04}")).collect();
        let hidden = Hidden::of("lines", lines.join("\n").as_bytes()).unwrap();
        assert_eq!(cleaned(&hidden, "x line-0199").unwrap(), "x «secret:lines»");
        assert!(hidden.is_same(&Hidden::of("lines", lines.join("\n").as_bytes()).unwrap()));
        assert!(!hidden.is_same(&Hidden::of("other", lines.join("\n").as_bytes()).unwrap()));
        let data: Vec<String> = (0..600).map(|line| format!("line-{line:04}")).collect();
        assert!(Hidden::of("data", data.join("\n").as_bytes()).is_err());
    }

    #[test]
    fn of_secrets_that_share_bytes_no_part_is_left() {
        let all = ["hunter2", "hunter2!xyz", "2!xyzabc", "bc9876"];
        let all: Vec<Hidden> =
            all.iter().map(|value| Hidden::of("s", value.as_bytes()).unwrap()).collect();
        for order in [vec![0, 1, 2, 3], vec![3, 2, 1, 0], vec![1, 0, 3, 2]] {
            let all = order.iter().map(|place| &all[*place]);
            for (text, expected) in [
                ("a hunter2!xyz b", "a «secret:s» b"),
                ("a hunter2!xy b", "a «secret:s»!xy b"),
                ("a hunter2!xyzabc9876", "a «secret:s»"),
                ("hunter2hunter2", "«secret:s»«secret:s»"),
            ] {
                assert_eq!(clean(all.clone(), text).as_deref(), Some(expected), "{text}");
            }
            assert_eq!(clean(all, "unter2!xyz"), None);
        }
        assert_eq!(clean(std::iter::empty(), "anything"), None);
    }

    #[test]
    fn it_is_found_as_every_usual_writer_of_json_escapes_it() {
        let hidden = Hidden::of("s", "a&b<c>d'e/f\"ä😀=+".as_bytes()).unwrap();
        for text in [
            r#"a&b<c>d'e/f\"ä😀=+"#,
            r#"a\u0026b\u003cc\u003ed'e/f\"ä😀=+"#,
            r#"a\u0026b\u003cc\u003ed\u0027e/f\"ä😀\u003d+"#,
            r#"a&b<c>d'e/f\"\u00e4\ud83d\ude00=+"#,
            r#"a&b<c>d'e\/f\"\u00e4\ud83d\ude00=+"#,
            r#"a&b<c>d'e\/f\"ä😀=+"#,
            r#"a\u0026b\u003Cc\u003Ed\u0027e/f\u0022\u00E4\uD83D\uDE00=\u002B"#,
        ] {
            let text = format!("x{text}y");
            assert_eq!(cleaned(&hidden, &text).as_deref(), Some("x«secret:s»y"), "{text}");
        }
        // What is no text is looked for all the same.
        let hidden = Hidden::of("s", b"abc\xff/def").unwrap();
        assert_eq!(cleaned(&hidden, "abcdef"), None);
    }

    #[test]
    fn it_is_found_as_every_usual_writer_of_urls_escapes_it() {
        let hidden = Hidden::of("s", "a/b?c!d*e'f(g)h&i+j=k~l m:n@o,p;q\"ä".as_bytes()).unwrap();
        for text in [
            // Python's quote, JavaScript's three, Go's two.
            "a/b%3Fc%21d%2Ae%27f%28g%29h%26i%2Bj%3Dk~l%20m%3An%40o%2Cp%3Bq%22%C3%A4",
            "a%2Fb%3Fc!d*e'f(g)h%26i%2Bj%3Dk~l%20m%3An%40o%2Cp%3Bq%22%C3%A4",
            "a/b?c!d*e'f(g)h&i+j=k~l%20m:n@o,p;q%22%C3%A4",
            "a%2Fb%3Fc%21d%2Ae%27f%28g%29h&i+j=k~l%20m:n@o%2Cp%3Bq%22%C3%A4",
            "a/b%3Fc%21d%2Ae%27f%28g%29h&i+j=k~l%20m:n@o,p;q%22%C3%A4",
            // Paths and queries of browsers, and what Rust encodes where nothing is safe.
            "a/b%3Fc!d*e'f(g)h&i+j=k~l%20m:n@o,p;q%22%C3%A4",
            "a/b?c!d*e%27f(g)h&i+j=k~l%20m:n@o,p;q%22%C3%A4",
            "a%2Fb%3Fc%21d%2Ae%27f%28g%29h%26i%2Bj%3Dk%7El%20m%3An%40o%2Cp%3Bq%22%C3%A4",
            // Forms: of Python and Go, of browsers and Java, of PHP, of .NET.
            "a%2Fb%3Fc%21d%2Ae%27f%28g%29h%26i%2Bj%3Dk~l+m%3An%40o%2Cp%3Bq%22%C3%A4",
            "a%2Fb%3Fc%21d*e%27f%28g%29h%26i%2Bj%3Dk%7El+m%3An%40o%2Cp%3Bq%22%C3%A4",
            "a%2Fb%3Fc%21d%2Ae%27f%28g%29h%26i%2Bj%3Dk%7El+m%3An%40o%2Cp%3Bq%22%C3%A4",
            "a%2fb%3fc!d*e%27f(g)h%26i%2bj%3dk%7el+m%3an%40o%2cp%3bq%22%c3%a4",
        ] {
            let text = format!("x{text}y");
            assert_eq!(cleaned(&hidden, &text).as_deref(), Some("x«secret:s»y"), "{text}");
        }
    }

    #[test]
    fn a_form_that_is_as_another_is_kept_once() {
        // As it is, in hexadecimal, and in base64 after none, one and two bytes.
        assert_eq!(forms(b"abcdefgh").len(), 5);
        for value in [&b"sk-live/0123 456?"[..], b"\xff\xfe\xfd~~~"] {
            let all: Vec<Vec<u8>> = forms(value).into_iter().map(Iterator::collect).collect();
            let distinct: std::collections::BTreeSet<&Vec<u8>> = all.iter().collect();
            assert_eq!(all.len(), distinct.len());
        }
    }

    #[test]
    fn a_long_text_is_looked_through_at_once() {
        let lines: Vec<String> = (0..500).map(|line| format!("{line:04}-a-line")).collect();
        let hidden = Hidden::of("lines", lines.join("\n").as_bytes()).unwrap();
        let text = "0123456789abcdef".repeat(1 << 15);
        let began = std::time::Instant::now();
        assert_eq!(cleaned(&hidden, &text), None);
        // Each form at each byte took minutes.
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
