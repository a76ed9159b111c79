//! The first words of TLS: which server a client names, and whether it hides that.

use crate::Read;
use sandboxd_egress_plan::{HostName, Verdict};
use std::collections::BTreeSet;

/// The most bytes that a ClientHello may take, in however many records.
pub const MOST: usize = 32 << 10;

/// The most bytes of one record.
const RECORD: usize = 1 << 14;

const SERVER_NAME: u16 = 0;
/// What hides the name in today's form, and what hid it in the form before.
const ENCRYPTED: [u16; 2] = [0xfe0d, 0xffce];

/// What a ClientHello says of whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The server it names.
    pub server_name: Option<HostName>,
    /// Whether it may name another that is not seen. A client that only pretends to does so on
    /// purpose in a way that nobody can tell apart.
    pub encrypted: bool,
}

/// The ClientHello that these bytes begin with.
///
/// # Errors
/// Where they begin with something else, or are malformed.
pub fn hello(bytes: &[u8]) -> Result<Read<Hello>, Verdict> {
    let (mut message, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let body = match record(rest)? {
            Read::More => return Ok(Read::More),
            Read::Done(body, length) => {
                at += length;
                body
            }
        };
        message.extend_from_slice(body);
        if message.len() > MOST {
            return Err(Verdict::Malformed);
        }
        let mut fields = Fields(&message);
        let Some((kind, length)) = fields.number(1).zip(fields.number(3)) else { continue };
        if kind != 1 || length > MOST {
            return Err(Verdict::Malformed);
        }
        if fields.0.len() < length {
            continue;
        }
        // Nothing of the client's may follow before the server answered.
        if fields.0.len() > length {
            return Err(Verdict::Malformed);
        }
        let hello = client_hello(fields).ok_or(Verdict::Malformed)?;
        return Ok(Read::Done(hello, at));
    }
}

/// Whether these bytes, which are not empty, can be the beginning of TLS.
#[must_use]
pub fn begins(bytes: &[u8]) -> bool {
    matches!(bytes, [22] | [22, 3, ..])
}

/// What a client is answered whose hello was understood, and which is not let out: an alert, which its
/// library has words for.
#[must_use]
pub const fn alert(name_is_wrong: bool) -> [u8; 7] {
    const ACCESS_DENIED: u8 = 49;
    const UNRECOGNIZED_NAME: u8 = 112;
    const FATAL: u8 = 2;
    let why = if name_is_wrong { UNRECOGNIZED_NAME } else { ACCESS_DENIED };
    [21, 3, 3, 0, 2, FATAL, why]
}

/// The body of the record of a handshake that these bytes begin with.
fn record(bytes: &[u8]) -> Result<Read<&[u8]>, Verdict> {
    if bytes.is_empty() {
        return Ok(Read::More);
    }
    if !begins(bytes) {
        return Err(Verdict::NotTls);
    }
    let mut fields = Fields(bytes);
    let (Some(_), Some(length)) = (fields.number(3), fields.number(2)) else {
        return Ok(Read::More);
    };
    if length == 0 || length > RECORD {
        return Err(Verdict::Malformed);
    }
    Ok(fields.take(length).map_or(Read::More, |body| Read::Done(body, 5 + length)))
}

/// What is left of something that has fields, each after its length.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, at most three.
    fn number(&mut self, length: usize) -> Option<usize> {
        let bytes = self.take(length)?;
        Some(bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    }

    /// What comes after its length, which is a number of so many bytes.
    fn vector(&mut self, length: usize) -> Option<Fields<'a>> {
        let length = self.number(length)?;
        self.take(length).map(Fields)
    }
}

fn client_hello(mut fields: Fields<'_>) -> Option<Hello> {
    // The version that everybody names, and the random bytes.
    fields.take(2 + 32)?;
    let session = fields.vector(1)?;
    let suites = fields.vector(2)?;
    let compressions = fields.vector(1)?;
    if session.0.len() > 32
        || suites.0.len() < 2
        || suites.0.len() % 2 == 1
        || compressions.0.is_empty()
    {
        return None;
    }
    let mut hello = Hello { server_name: None, encrypted: false };
    if fields.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = fields.vector(2)?;
    if !fields.0.is_empty() {
        return None;
    }
    let mut seen = BTreeSet::new();
    while !extensions.0.is_empty() {
        let kind = u16::try_from(extensions.number(2)?).ok()?;
        let body = extensions.vector(2)?;
        // A server may take either of two.
        if !seen.insert(kind) {
            return None;
        }
        if kind == SERVER_NAME {
            hello.server_name = Some(server_name(body)?);
        }
        hello.encrypted |= ENCRYPTED.contains(&kind);
    }
    Some(hello)
}

/// One name, of the only kind that there is, and no dot at its end.
fn server_name(mut body: Fields<'_>) -> Option<HostName> {
    let mut list = body.vector(2)?;
    let kind = list.number(1)?;
    let name = list.vector(2)?;
    if kind != 0 || !list.0.is_empty() || !body.0.is_empty() || name.0.ends_with(b".") {
        return None;
    }
    HostName::read(name.0).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector(length: usize, body: &[u8]) -> Vec<u8> {
        let number = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&number[4 - length..], body].concat()
    }

    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector(2, body)].concat()
    }

    fn sni(name: &str) -> Vec<u8> {
        extension(0, &vector(2, &[&[0][..], &vector(2, name.as_bytes())].concat()))
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [
            &[3, 3][..],
            &[7; 32],
            &vector(1, &[9; 32]),
            &vector(2, &[0x13, 1, 0x13, 2]),
            &vector(1, &[0]),
            &vector(2, extensions),
        ]
        .concat();
        [&[1][..], &vector(3, &body)].concat()
    }

    fn records(message: &[u8], each: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1][..], &vector(2, part)].concat();
        message.chunks(each).flat_map(record).collect()
    }

    pub(crate) fn client_hello_for(name: &str) -> Vec<u8> {
        records(&message(&[extension(43, &[2, 3, 4]), sni(name)].concat()), 16_000)
    }

    fn read(bytes: &[u8]) -> Result<Read<Hello>, Verdict> {
        hello(bytes)
    }

    #[test]
    fn the_name_is_found_however_it_is_cut() {
        let message = message(&[extension(43, &[2, 3, 4]), sni("API.example.com")].concat());
        for each in [1, 2, 3, 7, 100, 16_000] {
            let bytes = records(&message, each);
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Ok(Read::More), "{each} {end}");
            }
            let Ok(Read::Done(hello, length)) = read(&bytes) else { panic!("{each}") };
            assert_eq!(length, bytes.len());
            assert_eq!(hello.server_name.unwrap().as_str(), "api.example.com");
            assert!(!hello.encrypted);
        }
    }

    #[test]
    fn what_hides_the_name_is_seen() {
        for kind in ENCRYPTED {
            let message = message(&[sni("a.example"), extension(kind, &[0; 8])].concat());
            let Ok(Read::Done(hello, _)) = read(&records(&message, 16_000)) else { panic!() };
            assert!(hello.encrypted);
        }
        let Ok(Read::Done(hello, _)) = read(&records(&message(&[]), 16_000)) else { panic!() };
        assert_eq!(hello, Hello { server_name: None, encrypted: false });
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_refused() {
        let two = extension(0, &vector(2, &[&[0, 0, 1, b'a'][..], &[0, 0, 1, b'b']].concat()));
        for extensions in [
            [sni("a.example"), sni("b.example")].concat(),
            two,
            sni("a.example."),
            sni("127.0.0.1"),
            sni("a.example\0.b.example"),
            sni(""),
            extension(0, &[]),
            vec![0, 0, 0, 9],
        ] {
            let bytes = records(&message(&extensions), 16_000);
            assert_eq!(read(&bytes), Err(Verdict::Malformed), "{extensions:?}");
        }
        let mut more = message(&sni("a.example"));
        more.extend([1, 0, 0, 0]);
        assert_eq!(read(&records(&more, 16_000)), Err(Verdict::Malformed));
        let long = [1, 0xff, 0xff, 0xff];
        assert_eq!(read(&records(&long, 4)), Err(Verdict::Malformed));
        assert_eq!(read(&[22, 3, 1, 0, 0]), Err(Verdict::Malformed));
        assert_eq!(read(&[22, 3, 1, 0xff, 0xff]), Err(Verdict::Malformed));
        for text in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x", &[0x80, 0x2e, 1], &[21, 3, 1, 0, 2]]
        {
            assert_eq!(read(text), Err(Verdict::NotTls));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer_and_a_hello_stays_one(
            change in proptest::collection::vec(any::<(usize, u8)>(), 0..6), each in 1_usize..300,
        ) {
            let mut bytes = records(&message(&sni("api.example.com")), each);
            for (place, byte) in change {
                let length = bytes.len();
                bytes[place % length] = byte;
            }
            if let Ok(Read::Done(hello, length)) = read(&bytes) {
                prop_assert!(length <= bytes.len());
                prop_assert_eq!(read(&bytes[..length]), Ok(Read::Done(hello, length)));
            }
        }
    }
}
