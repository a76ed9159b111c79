//! A secret that is held by sandboxd, looked for in a text in every form in which it is likely to stand
//! there. All that is known of it lies in memory that is never on a disk, and nothing here tells it.

use crate::encode::{Alphabet, character, digit, in_json};
use rustix::io::Result;
use sandboxd_kernel::locked::Locked;
use std::fmt;

/// A shorter value would be found everywhere.
const SHORTEST: usize = 6;
/// A longer line is looked for in pieces.
const LONGEST: usize = 4096;
/// More pieces are a file of data, and every record would be looked through for each.
const MOST: usize = 512;

/// One secret.
pub struct Hidden {
    name: String,
    /// One form after the other.
    forms: Locked,
    /// Where each ends.
    ends: Vec<usize>,
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
        if values.len() > MOST {
            return Err(rustix::io::Errno::TOOBIG);
        }
        let bytes: usize = values.iter().flat_map(|value| forms(value)).map(Iterator::count).sum();
        let mut hidden =
            Self { name: name.to_owned(), forms: Locked::with_room(bytes)?, ends: Vec::new() };
        for form in values.iter().flat_map(|value| forms(value)) {
            hidden.forms.extend(|room| {
                let mut length = 0;
                for (to, from) in room.iter_mut().zip(form) {
                    *to = from;
                    length += 1;
                }
                Ok::<_, rustix::io::Errno>(length)
            })?;
            hidden.ends.push(hidden.forms.bytes().len());
        }
        Ok(hidden)
    }

    /// Whether it looks for the same under the same name.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let bytes = self.forms.bytes() == other.forms.bytes();
        bytes && self.name == other.name && self.ends == other.ends
    }

    /// The text with its name in the place of each form; nothing where there is none of them.
    #[must_use]
    pub fn clean(&self, text: &str) -> Option<String> {
        let mut clean = Vec::new();
        let (mut rest, mut found) = (text.as_bytes(), false);
        while let Some((first, after)) = rest.split_first() {
            let Some(length) = self.longest_at(rest) else {
                clean.push(*first);
                rest = after;
                continue;
            };
            clean.extend_from_slice(format!("«secret:{}»", self.name).as_bytes());
            rest = rest.get(length..).unwrap_or_default();
            found = true;
        }
        found.then(|| String::from_utf8_lossy(&clean).into_owned())
    }

    /// How long the longest form is that begins here. Names of hosts come in small letters, and so case
    /// is no difference.
    fn longest_at(&self, text: &[u8]) -> Option<usize> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let forms =
            starts.zip(&self.ends).filter_map(|(from, to)| self.forms.bytes().get(from..*to));
        let here = forms.filter(|form| {
            text.get(..form.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(form))
        });
        here.map(<[u8]>::len).max()
    }
}

/// The whole of it, and where it has several lines, each; what is long, in pieces.
fn looked_for(value: &[u8]) -> Vec<&[u8]> {
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
type Form<'v> = Box<dyn Iterator<Item = u8> + 'v>;

fn forms(value: &[u8]) -> Vec<Form<'_>> {
    let mut forms: Vec<Form<'_>> = vec![Box::new(value.iter().copied())];
    for alphabet in [Alphabet::Standard, Alphabet::UrlSafe] {
        // What stands before it in the encoded text shifts it by none, one or two bytes.
        forms.extend((0..3).map(|shift| shifted(value, shift, alphabet)));
    }
    forms.push(Box::new(value.iter().flat_map(move |byte| [digit(byte >> 4), digit(byte & 15)])));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !value.iter().all(|byte| plain(*byte)) {
        forms.push(Box::new(value.iter().flat_map(move |byte| {
            let escaped = [b'%', digit(byte >> 4), digit(byte & 15)];
            let one = if plain(*byte) { [*byte, 0, 0] } else { escaped };
            one.into_iter().take(if plain(*byte) { 1 } else { 3 })
        })));
    }
    if value.iter().any(|byte| in_json(*byte).1 != 1) {
        forms.push(Box::new(value.iter().flat_map(|byte| {
            let (escaped, length) = in_json(*byte);
            escaped.into_iter().take(length)
        })));
    }
    forms
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
            let clean = hidden.clean(&text).unwrap();
            assert!(clean.contains("«secret:model»"), "{text} -> {clean}");
            assert!(!clean.contains("s3cr3t"), "{clean}");
        }
    }

    #[test]
    fn each_line_of_a_file_is_looked_for_and_what_is_none_stays() {
        let hidden = Hidden::of("key", b"BEGIN KEY\r\nabcdefgh\n\nend\n").unwrap();
        assert_eq!(hidden.clean("x abcdefgh y").unwrap(), "x «secret:key» y");
        for text in ["end", "", "begin", "ü"] {
            assert_eq!(hidden.clean(text), None, "{text}");
        }
        assert_eq!(Hidden::of("short", b"abc\n").unwrap().clean("abc"), None);
        let text = "ä«BEGIN KEY»ß";
        assert_eq!(hidden.clean(text).unwrap(), "ä««secret:key»»ß");
        assert!(!format!("{hidden:?}").contains("BEGIN"));
    }

    #[test]
    fn a_long_line_and_the_last_of_many_are_looked_for_and_a_file_of_data_is_none() {
        let long: Vec<u8> =
            (0..9000).map(|place| b'a' + u8::try_from(place % 23).unwrap()).collect();
        let text = String::from_utf8(long.clone()).unwrap();
        let clean = Hidden::of("long", &long).unwrap().clean(&text).unwrap();
        assert_eq!(clean, "«secret:long»".repeat(3));
        let lines: Vec<String> = (0..200).map(|line| format!("line-{line:04}")).collect();
        let hidden = Hidden::of("lines", lines.join("\n").as_bytes()).unwrap();
        assert_eq!(hidden.clean("x line-0199").unwrap(), "x «secret:lines»");
        assert!(hidden.is_same(&Hidden::of("lines", lines.join("\n").as_bytes()).unwrap()));
        assert!(!hidden.is_same(&Hidden::of("other", lines.join("\n").as_bytes()).unwrap()));
        let data: Vec<String> = (0..600).map(|line| format!("line-{line:04}")).collect();
        assert!(Hidden::of("data", data.join("\n").as_bytes()).is_err());
    }
}
