//! What is said with another ssh-agent that keeps a key, and how its answers are read. It is whoever's it is:
//! nothing that it says is believed, and nothing of it goes on but a signature that holds.

use super::message::{Bind, Malformed};
use super::wire::{Wire, put, strings};
use crate::Read;

/// The most bytes of an answer that has keys, which is as much as OpenSSH's agent says.
pub const KEYS: usize = 256 << 10;
/// The most bytes of any other.
pub const SIGNATURE: usize = 16 << 10;

/// What asks it for its keys.
pub const IDENTITIES: [u8; 5] = [0, 0, 0, 1, 11];

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// These public keys it has.
    Identities(Vec<Vec<u8>>),
    /// This is the signature.
    Signature(Vec<u8>),
    /// Anything else.
    Other,
}

/// Its first answer in these bytes, which has no more than so many.
///
/// # Errors
/// Where it is longer, or empty.
pub fn reply(bytes: &[u8], most: usize) -> Result<Read<Reply>, Malformed> {
    let mut wire = Wire(bytes);
    let Some(length) = wire.number() else { return Ok(Read::More) };
    let length = usize::try_from(length).ok().filter(|length| (1..=most).contains(length));
    let length = length.ok_or(Malformed)?;
    let Some(body) = wire.0.get(..length) else { return Ok(Read::More) };
    Ok(Read::Done(read(Wire(body)).unwrap_or(Reply::Other), length + 4))
}

fn read(mut wire: Wire<'_>) -> Option<Reply> {
    let reply = match wire.byte()? {
        6 => Reply::Done,
        12 => {
            let mut keys = Vec::new();
            // No room is made for as many as it says: each has to be there.
            for _ in 0..wire.number()? {
                let (key, _comment) = (wire.string()?, wire.string()?);
                keys.push(key.to_vec());
            }
            Reply::Identities(keys)
        }
        14 => Reply::Signature(wire.string()?.to_vec()),
        _ => return None,
    };
    wire.end()?;
    Some(reply)
}

/// What names a session to it.
#[must_use]
pub fn bind(Bind { host, session, signature, forwarding }: &Bind) -> Vec<u8> {
    let body = strings(&[super::message::BIND, host, session, signature]);
    framed(27, &[&body[..], &[u8::from(*forwarding)]].concat())
}

/// What asks it for a signature.
#[must_use]
pub fn sign(key: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
    framed(13, &[strings(&[key, data]), flags.to_be_bytes().to_vec()].concat())
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, &[&[kind], body].concat());
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::message::{Request, message};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_what_it_is_whole_and_only_then() {
        let keys = [vec![0, 0, 0, 2], strings(&[b"one", b"a comment", b"two", b""])].concat();
        for (bytes, reply) in [
            (framed(6, b""), Reply::Done),
            (framed(12, &keys), Reply::Identities(vec![b"one".to_vec(), b"two".to_vec()])),
            (framed(12, &[0; 4]), Reply::Identities(vec![])),
            (framed(14, &strings(&[b"signature"])), Reply::Signature(b"signature".to_vec())),
            (framed(5, b""), Reply::Other),
            (framed(28, b""), Reply::Other),
            // More keys than there are, more than is said, and something behind it.
            (framed(12, &[&[0xff; 4], &keys[4..]].concat()), Reply::Other),
            (framed(12, &[&[0, 0, 0, 1], &keys[4..]].concat()), Reply::Other),
            (framed(14, &strings(&[b"signature", b""])), Reply::Other),
            (framed(6, b"x"), Reply::Other),
        ] {
            for end in 0..bytes.len() {
                assert_eq!(super::reply(&bytes[..end], KEYS), Ok(Read::More), "{reply:?}");
            }
            let length = bytes.len();
            let after = [bytes, b"more".to_vec()].concat();
            assert_eq!(super::reply(&after, KEYS), Ok(Read::Done(reply, length)));
        }
        assert_eq!(reply(&[0, 0, 0, 0], KEYS), Err(Malformed));
        assert_eq!(reply(&[0, 0, 0x40, 1], SIGNATURE), Err(Malformed));
        assert_eq!(reply(&[0, 0, 0x40, 1], KEYS), Ok(Read::More));
        assert_eq!(reply(&[0xff; 4], KEYS), Err(Malformed));
    }

    #[test]
    fn what_is_asked_is_what_a_client_asks() {
        let named = Bind {
            host: b"host".to_vec(),
            session: b"session".to_vec(),
            signature: b"signature".to_vec(),
            forwarding: false,
        };
        let asks = Request::Sign { key: b"key".to_vec(), data: b"data".to_vec(), flags: 4 };
        for (bytes, request) in
            [(bind(&named), Request::Bind(named)), (sign(b"key", b"data", 4), asks)]
        {
            let length = bytes.len();
            assert_eq!(message(&bytes), Ok(Read::Done(request, length)));
        }
        assert_eq!(message(&IDENTITIES), Ok(Read::Done(Request::Identities, 5)));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(Read::Done(_, length)) = reply(&bytes, KEYS) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
