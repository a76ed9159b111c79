//! What somebody wants signed: a login, RFC 4252, section 7, also as OpenSSH binds it to the key of the host; or
//! a text, PROTOCOL.sshsig of OpenSSH. Anything else is neither.

use super::wire::Wire;

/// What is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'d> {
    /// That somebody is let in.
    Login(Login<'d>),
    /// A text, by its digest.
    Text {
        /// What it is for.
        namespace: &'d [u8],
    },
}

/// That somebody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login<'d> {
    /// In which session.
    pub session: &'d [u8],
    /// As whom.
    pub user: &'d [u8],
    /// The algorithm that the signature is to be in.
    pub algorithm: &'d [u8],
    /// The public key.
    pub key: &'d [u8],
    /// The key of the host, where the client and the host both bind it to that.
    pub host: Option<&'d [u8]>,
}

const REQUEST: u8 = 50;
const TEXT: &[u8] = b"SSHSIG";

/// What this is, where it is something.
#[must_use]
pub fn asked(data: &[u8]) -> Option<Asked<'_>> {
    // A login begins with the length of its session, which is never as much as these letters say.
    match data.strip_prefix(TEXT) {
        Some(rest) => text(Wire(rest)),
        None => login(Wire(data)).map(Asked::Login),
    }
}

fn login(mut wire: Wire<'_>) -> Option<Login<'_>> {
    let session = wire.string()?;
    let request = wire.byte()? == REQUEST;
    let (user, service, method) = (wire.string()?, wire.string()?, wire.string()?);
    let bound = match method {
        b"publickey" => false,
        b"publickey-hostbound-v00@openssh.com" => true,
        _ => return None,
    };
    let signed = wire.byte()? == 1;
    let (algorithm, key) = (wire.string()?, wire.string()?);
    let host = if bound { Some(wire.string()?) } else { None };
    wire.end()?;
    let fits = request && signed && service == b"ssh-connection";
    fits.then_some(Login { session, user, algorithm, key, host })
}

fn text(mut wire: Wire<'_>) -> Option<Asked<'_>> {
    let (namespace, reserved) = (wire.string()?, wire.string()?);
    let length = match wire.string()? {
        b"sha256" => 32,
        b"sha512" => 64,
        _ => return None,
    };
    let digest = wire.string()?;
    wire.end()?;
    let fits = !namespace.is_empty() && reserved.is_empty() && digest.len() == length;
    fits.then_some(Asked::Text { namespace })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::wire::strings;
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn login_of(
        session: &[u8],
        user: &[u8],
        (algorithm, key): (&[u8], &[u8]),
    ) -> Vec<u8> {
        [
            strings(&[session]),
            vec![REQUEST],
            strings(&[user, b"ssh-connection", b"publickey"]),
            vec![1],
            strings(&[algorithm, key]),
        ]
        .concat()
    }

    pub(crate) fn text_of(namespace: &[u8]) -> Vec<u8> {
        [TEXT.to_vec(), strings(&[namespace, b"", b"sha512", &[7; 64]])].concat()
    }

    #[test]
    fn a_login_and_a_text_are_told_from_anything_else() {
        let bytes = login_of(b"session", b"git", (b"ssh-ed25519", b"key"));
        let plain = Login {
            session: b"session",
            user: b"git",
            algorithm: b"ssh-ed25519",
            key: b"key",
            host: None,
        };
        assert_eq!(asked(&bytes), Some(Asked::Login(plain)));
        let text = String::from_utf8_lossy(&bytes)
            .replace("\u{9}publickey", "\u{23}publickey-hostbound-v00@openssh.com");
        let bound = [text.as_bytes(), &strings(&[b"host"])].concat();
        assert_eq!(asked(&bound), Some(Asked::Login(Login { host: Some(b"host"), ..plain })));
        let namespace = text_of(b"git");
        assert_eq!(asked(&namespace), Some(Asked::Text { namespace: b"git" }));
        for (bytes, at) in [(&bytes, 11), (&bytes, 50), (&namespace, 3)] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(asked(&other), asked(bytes), "{at}");
        }
        for bytes in [&bytes, &bound, &namespace] {
            for end in 0..bytes.len() {
                assert_eq!(asked(&bytes[..end]), None);
            }
            assert_eq!(asked(&[bytes, &b"x"[..]].concat()), None);
        }
        // What else is signed in SSH: that a host has its other keys.
        let proof = strings(&[b"hostkeys-prove-00@openssh.com", b"session", b"key"]);
        assert_eq!(asked(&proof), None);
        for service in [&b"ssh-userauth"[..], b""] {
            let mut wrong = strings(&[b"session"]);
            wrong.push(REQUEST);
            wrong.extend(strings(&[b"git", service, b"publickey"]));
            wrong.push(1);
            wrong.extend(strings(&[b"ssh-ed25519", b"key"]));
            assert_eq!(asked(&wrong), None);
        }
        let short = [TEXT.to_vec(), strings(&[b"git", b"", b"sha512", b"short"])].concat();
        assert_eq!(asked(&short), None);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for bytes in [bytes.clone(), [TEXT, &bytes].concat()] {
                let first = asked(&bytes);
                prop_assert_eq!(first, asked(&bytes));
            }
        }
    }
}
