//! SOCKS 5 (RFC 1928), of it only what connects, without a password.

use crate::{
    Read,
    rule::{Place, Whom},
};
use sandboxd_egress_plan::HostName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The version, by which the first byte of a client is known.
pub const VERSION: u8 = 5;

/// What is answered to a client that offers to come without a password.
pub const WELCOME: [u8; 2] = [VERSION, 0];

/// What is answered to one that does not.
pub const UNWELCOME: [u8; 2] = [VERSION, 0xff];

/// Why a client is not connected, as the protocol has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is connected.
    Connected,
    /// No rule has it.
    NotAllowed,
    /// There is no way to it.
    Unreachable,
    /// It asks for something else than a connection.
    Command,
    /// It names nobody.
    Address,
    /// It is malformed.
    Malformed,
}

impl Reply {
    /// The bytes of the reply. The address in it is that of nobody: where a connection comes from is
    /// not for the client to know.
    #[must_use]
    pub const fn bytes(self) -> [u8; 10] {
        let code = match self {
            Self::Connected => 0,
            Self::Malformed => 1,
            Self::NotAllowed => 2,
            Self::Unreachable => 4,
            Self::Command => 7,
            Self::Address => 8,
        };
        [VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]
    }
}

/// Whether the client comes without a password, if it is asked to.
///
/// # Errors
/// Where it speaks something else.
pub fn greeting(bytes: &[u8]) -> Result<Read<bool>, Reply> {
    match bytes {
        [] | [VERSION] => Ok(Read::More),
        [VERSION, 0, ..] => Err(Reply::Malformed),
        [VERSION, count, rest @ ..] => {
            let count = usize::from(*count);
            let methods = rest.get(..count);
            Ok(methods.map_or(Read::More, |methods| Read::Done(methods.contains(&0), 2 + count)))
        }
        _ => Err(Reply::Malformed),
    }
}

/// Whom the client asks for.
///
/// # Errors
/// Where it asks for something else.
pub fn request(bytes: &[u8]) -> Result<Read<Place>, Reply> {
    let [version, command, zero, kind, rest @ ..] = bytes else { return Ok(Read::More) };
    if (*version, *zero) != (VERSION, 0) {
        return Err(Reply::Malformed);
    }
    if *command != 1 {
        return Err(Reply::Command);
    }
    let (whom, rest) = match kind {
        1 => match rest.split_first_chunk::<4>() {
            Some((address, rest)) => (Whom::Address(Ipv4Addr::from(*address).into()), rest),
            None => return Ok(Read::More),
        },
        4 => match rest.split_first_chunk::<16>() {
            Some((address, rest)) => (Whom::Address(Ipv6Addr::from(*address).into()), rest),
            None => return Ok(Read::More),
        },
        3 => {
            let Some((length, rest)) = rest.split_first() else { return Ok(Read::More) };
            let Some((name, rest)) = rest.split_at_checked(usize::from(*length)) else {
                return Ok(Read::More);
            };
            (named(name).ok_or(Reply::Address)?, rest)
        }
        _ => return Err(Reply::Address),
    };
    let Some((port, rest)) = rest.split_first_chunk::<2>() else { return Ok(Read::More) };
    let port = u16::from_be_bytes(*port);
    if port == 0 {
        return Err(Reply::Address);
    }
    Ok(Read::Done(Place { whom, port }, bytes.len() - rest.len()))
}

/// A name; or an address in the one spelling that has no other meaning, because some clients write it
/// where a name belongs.
fn named(text: &[u8]) -> Option<Whom> {
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    match address {
        Some(address) => Some(Whom::Address(address)),
        None => HostName::read(text).ok().map(Whom::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::host;

    fn asks(name: &[u8], port: u16) -> Vec<u8> {
        let length = u8::try_from(name.len()).unwrap();
        [&[5, 1, 0, 3, length][..], name, &port.to_be_bytes()].concat()
    }

    #[test]
    fn a_client_is_greeted_and_asks_for_a_name_or_an_address() {
        assert_eq!(greeting(&[5, 2, 2, 0]), Ok(Read::Done(true, 4)));
        assert_eq!(greeting(&[5, 1, 2]), Ok(Read::Done(false, 3)));
        assert_eq!(greeting(&[5, 2, 2]), Ok(Read::More));
        let bytes = asks(b"API.example.com", 443);
        for end in 0..bytes.len() {
            assert_eq!(request(&bytes[..end]), Ok(Read::More));
        }
        let place = Place { whom: Whom::Name(host("api.example.com")), port: 443 };
        assert_eq!(request(&bytes), Ok(Read::Done(place, bytes.len())));
        let four = [5, 1, 0, 1, 192, 0, 2, 1, 0, 80];
        let place = Place { whom: Whom::Address("192.0.2.1".parse().unwrap()), port: 80 };
        assert_eq!(request(&four), Ok(Read::Done(place.clone(), 10)));
        assert_eq!(
            request(&asks(b"192.0.2.1", 80))
                .map(|read| matches!(read, Read::Done(found, _) if found == place)),
            Ok(true)
        );
    }

    #[test]
    fn whatever_else_it_says_is_refused() {
        assert_eq!(greeting(&[4, 1]), Err(Reply::Malformed));
        assert_eq!(greeting(&[5, 0]), Err(Reply::Malformed));
        for name in
            [&b"evil.example\0.google.com"[..], b"", b"0x7f.1", b"2130706433", b"a b", b"[::1]"]
        {
            assert_eq!(request(&asks(name, 80)), Err(Reply::Address), "{name:?}");
        }
        assert_eq!(request(&asks(b"a.example", 0)), Err(Reply::Address));
        assert_eq!(request(&[5, 2, 0, 1]), Err(Reply::Command));
        assert_eq!(request(&[5, 3, 0, 1]), Err(Reply::Command));
        assert_eq!(request(&[5, 1, 1, 1]), Err(Reply::Malformed));
        assert_eq!(request(&[5, 1, 0, 2]), Err(Reply::Address));
    }
}
