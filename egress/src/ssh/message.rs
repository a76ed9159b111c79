//! What a client of an ssh-agent asks, and what it is answered.

use super::wire::{Wire, put};
use crate::Read;

/// The most bytes of what is asked: a session is named with a key and a signature, which have 4 KiB at most
/// together, and a login or a text has less.
pub const MOST: usize = 16 << 10;

const IDENTITIES: u8 = 11;
const SIGN: u8 = 13;
const EXTENSION: u8 = 27;
pub(super) const BIND: &[u8] = b"session-bind@openssh.com";

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Which keys there are.
    Identities,
    /// A signature.
    Sign {
        /// With the key of this public one.
        key: Vec<u8>,
        /// Of this.
        data: Vec<u8>,
        /// In which way.
        flags: u32,
    },
    /// Nothing: it says for which session it asks from now on.
    Bind(Bind),
    /// Something that the protocol does not have so, or that an agent may leave undone.
    Other {
        /// It is an extension, for which there is an answer of its own.
        extension: bool,
    },
}

/// What a client says of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The public key of the host.
    pub host: Vec<u8>,
    /// The session.
    pub session: Vec<u8>,
    /// What the host signed it with.
    pub signature: Vec<u8>,
    /// The connection to the agent is to be passed on to the host.
    pub forwarding: bool,
}

/// A message that is longer than any, or empty: where the next one begins is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The first of what was written.
///
/// # Errors
/// Where it is no message.
pub fn message(bytes: &[u8]) -> Result<Read<Request>, Malformed> {
    let mut wire = Wire(bytes);
    let Some(length) = wire.number() else { return Ok(Read::More) };
    let length = usize::try_from(length).ok().filter(|length| (1..=MOST).contains(length));
    let length = length.ok_or(Malformed)?;
    let Some(body) = wire.0.get(..length) else { return Ok(Read::More) };
    Ok(Read::Done(request(body), length + 4))
}

fn request(body: &[u8]) -> Request {
    let mut wire = Wire(body);
    let kind = wire.byte();
    let read = match kind {
        Some(IDENTITIES) => wire.end().map(|()| Request::Identities),
        Some(SIGN) => sign(wire),
        Some(EXTENSION) => bind(wire),
        Some(_) | None => None,
    };
    read.unwrap_or(Request::Other { extension: kind == Some(EXTENSION) })
}

fn sign(mut wire: Wire<'_>) -> Option<Request> {
    let (key, data) = (wire.string()?.to_vec(), wire.string()?.to_vec());
    let flags = wire.number()?;
    wire.end()?;
    Some(Request::Sign { key, data, flags })
}

fn bind(mut wire: Wire<'_>) -> Option<Request> {
    if wire.string()? != BIND {
        return None;
    }
    let [host, session, signature] = [wire.string()?, wire.string()?, wire.string()?];
    let forwarding = wire.byte()? != 0;
    wire.end()?;
    Some(Request::Bind(Bind {
        host: host.to_vec(),
        session: session.to_vec(),
        signature: signature.to_vec(),
        forwarding,
    }))
}

/// What a client is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These keys there are: their public ones, and what they are called.
    Identities(Vec<(Vec<u8>, String)>),
    /// This is the signature.
    Signature(Vec<u8>),
    /// It is done.
    Done,
    /// It is not done.
    Refused,
    /// There is no such extension, or what was said in it is not so.
    NoExtension,
}

impl Answer {
    /// As it is written.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Identities(keys) => {
                body.push(12);
                let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
                body.extend_from_slice(&count.to_be_bytes());
                for (key, name) in keys {
                    put(&mut body, key);
                    put(&mut body, name.as_bytes());
                }
            }
            Self::Signature(signature) => {
                body.push(14);
                put(&mut body, signature);
            }
            Self::Done => body.push(6),
            Self::Refused => body.push(5),
            Self::NoExtension => body.push(28),
        }
        let mut message = Vec::new();
        put(&mut message, &body);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::strings;
    use super::*;
    use proptest::prelude::*;

    fn framed(kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, &[&[kind], rest].concat());
        bytes
    }

    #[test]
    fn a_message_is_what_it_is_whole_and_only_then() {
        let sign = [strings(&[b"key", b"data"]), vec![0, 0, 0, 4]].concat();
        let bind = [strings(&[BIND, b"host", b"session", b"signature"]), vec![1]].concat();
        let all = [
            (framed(11, b""), Request::Identities),
            (
                framed(13, &sign),
                Request::Sign { key: b"key".to_vec(), data: b"data".to_vec(), flags: 4 },
            ),
            (
                framed(27, &bind),
                Request::Bind(Bind {
                    host: b"host".to_vec(),
                    session: b"session".to_vec(),
                    signature: b"signature".to_vec(),
                    forwarding: true,
                }),
            ),
            (framed(27, &strings(&[b"query"])), Request::Other { extension: true }),
            (framed(27, &bind[..bind.len() - 1]), Request::Other { extension: true }),
            (framed(17, &strings(&[b"ssh-ed25519"])), Request::Other { extension: false }),
            (framed(11, b"x"), Request::Other { extension: false }),
            (framed(13, &sign[..sign.len() - 1]), Request::Other { extension: false }),
        ];
        for (bytes, request) in all {
            let length = bytes.len();
            for end in 0..length {
                assert_eq!(message(&bytes[..end]), Ok(Read::More), "{request:?}");
            }
            let after = [bytes, b"more".to_vec()].concat();
            assert_eq!(message(&after), Ok(Read::Done(request, length)));
        }
        assert_eq!(message(&[0, 0, 0, 0]), Err(Malformed));
        assert_eq!(message(&[0, 0, 0x40, 1]), Err(Malformed));
        assert_eq!(message(&[0xff; 4]), Err(Malformed));
    }

    #[test]
    fn an_answer_is_written_as_the_protocol_has_it() {
        assert_eq!(Answer::Refused.message(), [0, 0, 0, 1, 5]);
        let keys = Answer::Identities(vec![(b"key".to_vec(), "me".into())]).message();
        assert_eq!(keys, b"\0\0\0\x12\x0c\0\0\0\x01\0\0\0\x03key\0\0\0\x02me");
        assert_eq!(Answer::Signature(b"s".to_vec()).message(), b"\0\0\0\x06\x0e\0\0\0\x01s");
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(Read::Done(_, length)) = message(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
