//! What a sandbox is told when it asks for a name. Nobody else is ever asked: a name that no rule has
//! does not exist, and what is asked for says nothing to anybody.

use super::{
    A, AAAA, HEADER, IN, OPT,
    wire::{Compressed, Cursor},
};
use sandboxd_egress_plan::{HostName, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most bytes of a question.
pub const MOST: usize = 1232;

const QUERY: u16 = 0;
const AXFR: u16 = 252;
const IXFR: u16 = 251;

const NO_ERROR: u8 = 0;
const FORMAT: u8 = 1;
const NO_NAME: u8 = 3;
const NOT_BUILT: u8 = 4;
const REFUSED: u8 = 5;

/// Who knows which names there are.
pub trait Zone {
    /// The addresses of a name; nothing where there is no such name.
    fn addresses(&mut self, name: &HostName) -> Option<Vec<IpAddr>>;
}

/// What is said back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The message; nothing where none is said.
    pub message: Vec<u8>,
    /// What is to be recorded: a question that was not answered.
    pub refused: Option<Refused>,
}

/// A question that was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub verdict: Verdict,
    /// For which name, where it is one.
    pub name: Option<HostName>,
}

/// A question as it was understood.
struct Question<'a> {
    header: Header,
    /// The question itself, which is said again.
    text: &'a [u8],
    name: Option<HostName>,
    kind: u16,
    class: u16,
    /// Whether the client knows of extensions, and so wants to see ours.
    extended: bool,
}

#[derive(Clone, Copy)]
struct Header {
    id: u16,
    flags: u16,
}

/// What is answered to this message; `ttl` is for how many seconds it holds.
pub fn answer(bytes: &[u8], zone: &mut impl Zone, ttl: u32) -> Answer {
    let malformed = Some(Refused { verdict: Verdict::Malformed, name: None });
    let mut cursor = Cursor::new(bytes);
    let Some(header) = header(&mut cursor) else {
        // No header, or an answer: to answer that would be a loop.
        return Answer { message: Vec::new(), refused: malformed };
    };
    if (header.flags >> 11) & 15 != QUERY {
        return Answer { message: bare(header, NOT_BUILT), refused: malformed };
    }
    match question(bytes, header, cursor) {
        Some(question) => said(&question, zone, ttl),
        None => Answer { message: bare(header, FORMAT), refused: malformed },
    }
}

fn header(cursor: &mut Cursor<'_>) -> Option<Header> {
    let (id, flags) = (cursor.number()?, cursor.number()?);
    (flags & 0x8000 == 0).then_some(Header { id, flags })
}

/// One question, nothing answered in it, and at most one word of extensions after it.
fn question<'a>(bytes: &'a [u8], header: Header, mut cursor: Cursor<'a>) -> Option<Question<'a>> {
    let counts = [cursor.number()?, cursor.number()?, cursor.number()?, cursor.number()?];
    let [1, 0, 0, more @ (0 | 1)] = counts else { return None };
    if bytes.len() > MOST {
        return None;
    }
    let name = cursor.name(Compressed::Refused)?;
    let (kind, class) = (cursor.number()?, cursor.number()?);
    let text = bytes.get(HEADER..cursor.at)?;
    if more == 1 {
        // The root's name, then the size, flags and options.
        if cursor.take(1)? != [0] || cursor.number()? != OPT {
            return None;
        }
        cursor.take(6)?;
        let length = cursor.number()?;
        cursor.take(usize::from(length))?;
    }
    if !cursor.is_at_end() {
        return None;
    }
    let name = HostName::read(&name).ok();
    Some(Question { header, text, name, kind, class, extended: more == 1 })
}

fn said(question: &Question<'_>, zone: &mut impl Zone, ttl: u32) -> Answer {
    let refused = |verdict| Some(Refused { verdict, name: question.name.clone() });
    if question.class != IN || question.kind == AXFR || question.kind == IXFR {
        let message = question.message(REFUSED, &[], ttl);
        return Answer { message, refused: refused(Verdict::Malformed) };
    }
    let found = question.name.as_ref().and_then(|name| match name.as_str() {
        "localhost" => Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        _ => zone.addresses(name),
    });
    let Some(addresses) = found else {
        let message = question.message(NO_NAME, &[], ttl);
        return Answer { message, refused: refused(Verdict::NoRule) };
    };
    let wanted: Vec<IpAddr> = addresses
        .into_iter()
        .filter(|address| question.kind == if address.is_ipv4() { A } else { AAAA })
        .collect();
    // Of every other kind there is nothing: no service, no key, no other way to come there.
    Answer { message: question.message(NO_ERROR, &wanted, ttl), refused: None }
}

/// The flags of an answer: ours with authority, and recursion as if it were there, since a resolver
/// that is told it is not may look no further.
fn flags(header: Header, code: u8) -> u16 {
    0x8400 | 0x0080 | (header.flags & 0x7900) | u16::from(code)
}

/// An answer that does not even say the question again.
fn bare(header: Header, code: u8) -> Vec<u8> {
    [header.id, flags(header, code), 0, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect()
}

impl Question<'_> {
    fn message(&self, code: u8, addresses: &[IpAddr], ttl: u32) -> Vec<u8> {
        let count = u16::try_from(addresses.len()).unwrap_or(0);
        let counts = [1, count, 0, u16::from(self.extended)];
        let mut message: Vec<u8> = [self.header.id, flags(self.header, code)]
            .into_iter()
            .flat_map(u16::to_be_bytes)
            .collect();
        message.extend(counts.into_iter().flat_map(u16::to_be_bytes));
        message.extend_from_slice(self.text);
        for address in addresses {
            // The name is that of the question.
            message.extend_from_slice(&[0xc0, 0x0c]);
            let (kind, octets) = match address {
                IpAddr::V4(address) => (A, address.octets().to_vec()),
                IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
            };
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&IN.to_be_bytes());
            message.extend_from_slice(&ttl.to_be_bytes());
            let length = if address.is_ipv4() { 4_u16 } else { 16 };
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(&octets);
        }
        if self.extended {
            message.push(0);
            message.extend_from_slice(&OPT.to_be_bytes());
            message.extend_from_slice(&1232_u16.to_be_bytes());
            message.extend_from_slice(&[0; 6]);
        }
        message
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    struct One;

    impl Zone for One {
        fn addresses(&mut self, name: &HostName) -> Option<Vec<IpAddr>> {
            let known = name.as_str() == "api.example.com";
            known.then(|| vec!["198.18.0.1".parse().unwrap(), "fd00::1".parse().unwrap()])
        }
    }

    pub(crate) fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes
    }

    fn code(answer: &Answer) -> u8 {
        answer.message[3] & 15
    }

    #[test]
    fn a_name_of_a_rule_has_its_addresses_in_any_case() {
        let found = answer(&query("Api.EXAMPLE.com", A), &mut One, 60);
        assert_eq!((code(&found), &found.refused), (NO_ERROR, &None));
        assert!(found.message.ends_with(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 1]));
        assert_eq!(&found.message[..8], &[0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1]);
        let asked = query("Api.EXAMPLE.com", A);
        assert_eq!(found.message[12..asked.len()], asked[12..], "the question as it was");
        let six = answer(&query("api.example.com", AAAA), &mut One, 60);
        assert!(six.message.ends_with(&[0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert!(answer(&query("localhost", A), &mut One, 1).message.ends_with(&[127, 0, 0, 1]));
    }

    #[test]
    fn a_name_has_nothing_but_addresses() {
        for kind in [2, 5, 6, 12, 15, 16, 33, 64, 65, 255] {
            let empty = answer(&query("api.example.com", kind), &mut One, 60);
            assert_eq!((code(&empty), empty.message[7]), (NO_ERROR, 0), "{kind}");
        }
        for kind in [AXFR, IXFR] {
            assert_eq!(code(&answer(&query("api.example.com", kind), &mut One, 60)), REFUSED);
        }
    }

    #[test]
    fn every_other_name_does_not_exist() {
        for name in ["example.com", "x.api.example.com", "secret.evil.net", "", "1.2.3.4", "a b"] {
            for kind in [A, AAAA, 16, 255] {
                let none = answer(&query(name, kind), &mut One, 60);
                assert_eq!(code(&none), NO_NAME, "{name}");
                assert_eq!(none.refused.unwrap().verdict, Verdict::NoRule);
            }
        }
    }

    #[test]
    fn extensions_are_answered_with_ours() {
        let mut asked = query("api.example.com", A);
        asked[11] = 1;
        asked.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 4, 0, 12, 0, 0]);
        let found = answer(&asked, &mut One, 60);
        assert_eq!((code(&found), found.message[11]), (NO_ERROR, 1));
        asked.push(0);
        assert_eq!(code(&answer(&asked, &mut One, 60)), FORMAT);
    }

    #[test]
    fn what_is_malformed_is_answered_shortly_or_not_at_all() {
        let good = query("api.example.com", A);
        let change = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            answer(&bytes, &mut One, 60)
        };
        assert!(change(2, 0x81).message.is_empty(), "an answer");
        assert_eq!(code(&change(2, 0x28)), NOT_BUILT);
        for (at, to) in [(5, 0), (5, 2), (7, 1), (9, 1), (11, 1), (11, 2), (12, 0xc0), (12, 64)] {
            assert_eq!(code(&change(at, to)), FORMAT, "{at} {to}");
        }
        for end in 0..good.len() {
            let cut = answer(&good[..end], &mut One, 60);
            assert!(end < 4 && cut.message.is_empty() || end >= 4 && code(&cut) == FORMAT);
        }
        let long = [&good[..], &[0; MOST]].concat();
        assert_eq!(code(&answer(&long, &mut One, 60)), FORMAT);
        let chaos = change(good.len() - 1, 3);
        assert_eq!(code(&chaos), REFUSED);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let answer = answer(&bytes, &mut One, 60);
            prop_assert!(answer.message.is_empty() || answer.message.len() >= HEADER);
        }
    }
}
