//! The questions that are asked outside, of a name that a rule has, and what their answers say.

use super::{
    A, AAAA, CNAME, IN,
    wire::{Compressed, Cursor},
};
use sandboxd_egress_plan::HostName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most addresses of a name that are looked at.
pub const MOST: usize = 16;

/// The most names that one leads to, one after the other.
const ALIASES: usize = 16;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

impl Family {
    const fn kind(self) -> u16 {
        match self {
            Self::Four => A,
            Self::Six => AAAA,
        }
    }
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// These addresses; none where the name has none of the family.
    Addresses(Vec<IpAddr>),
    /// That it does not fit, and is to be asked for by TCP.
    Cut,
    /// That there is no such name.
    NoName,
    /// That it cannot be said, by this server and now.
    Failed,
}

/// The question, as a message.
#[must_use]
pub fn question(id: u16, name: &HostName, family: Family) -> Vec<u8> {
    // Recursion is wanted; one question.
    let mut bytes: Vec<u8> =
        [id, 0x0100, 1, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect();
    for label in name.as_str().split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&family.kind().to_be_bytes());
    bytes.extend_from_slice(&IN.to_be_bytes());
    bytes
}

/// What this message says; nothing where it is not an answer to that question, which somebody else may
/// have sent.
#[must_use]
pub fn found(bytes: &[u8], id: u16, name: &HostName, family: Family) -> Option<Found> {
    let mut cursor = Cursor::new(bytes);
    let (said, flags) = (cursor.number()?, cursor.number()?);
    let (questions, answers) = (cursor.number()?, cursor.number()?);
    cursor.take(4)?;
    let asked = cursor.name(Compressed::Refused)?;
    let (kind, class) = (cursor.number()?, cursor.number()?);
    // An answer to a query, to this one.
    if said != id || flags & 0xf800 != 0x8000 || questions != 1 {
        return None;
    }
    if asked != name.as_str().as_bytes() || (kind, class) != (family.kind(), IN) {
        return None;
    }
    if flags & 0x0200 != 0 {
        return Some(Found::Cut);
    }
    match flags & 15 {
        0 => Some(records(cursor, answers, asked, family).map_or(Found::Failed, Found::Addresses)),
        3 => Some(Found::NoName),
        _ => Some(Found::Failed),
    }
}

/// The addresses of a name, or of the one that it leads to. Nothing where the message is malformed.
fn records(
    mut cursor: Cursor<'_>,
    count: u16,
    mut wanted: Vec<u8>,
    family: Family,
) -> Option<Vec<IpAddr>> {
    let mut aliases: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut addresses: Vec<(Vec<u8>, IpAddr)> = Vec::new();
    for _ in 0..count {
        let owner = cursor.name(Compressed::Allowed)?;
        let (kind, class) = (cursor.number()?, cursor.number()?);
        cursor.take(4)?;
        let length = usize::from(cursor.number()?);
        let mut body = cursor;
        let octets = cursor.take(length)?;
        if class != IN {
            continue;
        }
        if kind == CNAME {
            let alias = body.name(Compressed::Allowed)?;
            (body.at == cursor.at).then_some(())?;
            aliases.push((owner, alias));
        } else if kind == family.kind() {
            let address = match family {
                Family::Four => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
                Family::Six => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
            };
            addresses.push((owner, address));
        }
    }
    for _ in 0..ALIASES {
        match aliases.iter().find(|(owner, _)| *owner == wanted) {
            Some((_, alias)) => wanted.clone_from(alias),
            None => break,
        }
    }
    let of_it = addresses.into_iter().filter(|(owner, _)| *owner == wanted);
    Some(of_it.map(|(_, address)| address).take(MOST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::host;
    use proptest::prelude::*;

    fn reply(flags: u16, answers: u16, rest: &[u8]) -> Vec<u8> {
        let mut bytes = question(7, &host("a.example"), Family::Four);
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&answers.to_be_bytes());
        [&bytes[..], rest].concat()
    }

    fn read(bytes: &[u8]) -> Option<Found> {
        found(bytes, 7, &host("a.example"), Family::Four)
    }

    #[test]
    fn addresses_are_those_of_the_name_or_of_where_it_leads() {
        let plain = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
        let one = Found::Addresses(vec!["192.0.2.1".parse().unwrap()]);
        assert_eq!(read(&reply(0x8180, 1, &plain)), Some(one.clone()));
        let alias = [
            &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'b', 0xc0, 14][..],
            &[1, b'B', 0xc0, 14, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1],
        ]
        .concat();
        assert_eq!(read(&reply(0x8180, 2, &alias)), Some(one));
        let other = [1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
        assert_eq!(read(&reply(0x8180, 1, &other)), Some(Found::Addresses(vec![])));
        assert_eq!(read(&reply(0x8380, 0, &[])), Some(Found::Cut));
        assert_eq!(read(&reply(0x8183, 0, &[])), Some(Found::NoName));
        assert_eq!(read(&reply(0x8182, 0, &[])), Some(Found::Failed));
    }

    #[test]
    fn what_answers_another_question_is_no_answer() {
        let good = reply(0x8180, 0, &[]);
        for (at, to) in [(1, 8), (2, 1), (5, 2), (12, 2), (13, b'x'), (good.len() - 3, 28)] {
            let mut bytes = good.clone();
            bytes[at] = to;
            assert_eq!(read(&bytes), None, "{at} {to}");
        }
    }

    #[test]
    fn names_that_lead_in_circles_or_forward_are_malformed() {
        let start = u8::try_from(reply(0, 0, &[]).len()).unwrap();
        for pointer in [[0xc0, start], [0xc0, start + 2], [0xc0, 0], [0xff, 0xff], [0x80, 12]] {
            let rest = [&pointer[..], &[0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]].concat();
            assert_eq!(read(&reply(0x8180, 1, &rest)), Some(Found::Failed), "{pointer:?}");
        }
        let circle = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12];
        assert_eq!(read(&reply(0x8180, 1, &circle)), Some(Found::Addresses(vec![])));
        assert_eq!(read(&reply(0x8180, 9, &[])), Some(Found::Failed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(rest in proptest::collection::vec(any::<u8>(), 0..200), count in 0_u16..9) {
            if let Some(Found::Addresses(found)) = read(&reply(0x8180, count, &rest)) {
                prop_assert!(found.len() <= MOST);
            }
        }
    }
}
