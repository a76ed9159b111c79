//! Whether a key signed something, in which algorithm it does, and what it is known by.

use super::wire::Wire;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use sandboxd_egress_plan::{Fingerprint, ssh::SIGNING};

/// Flags of a request, by which RSA signs.
pub const RSA_SHA256: u32 = 2;
/// The other.
pub const RSA_SHA512: u32 = 4;

/// Keys that lie on a token, PROTOCOL.u2f of OpenSSH.
const TOKEN_ED25519: &[u8] = b"sk-ssh-ed25519@openssh.com";
const TOKEN_P256: &[u8] = b"sk-ecdsa-sha2-nistp256@openssh.com";

/// In which algorithm a key signs where it is asked to with these flags; nothing where in none.
#[must_use]
pub fn algorithm(key: &[u8], flags: u32) -> Option<&'static str> {
    let kind = Wire(key).string()?;
    match (kind, flags) {
        (b"ssh-rsa", RSA_SHA256) => Some("rsa-sha2-256"),
        (b"ssh-rsa", RSA_SHA512) => Some("rsa-sha2-512"),
        // SHA-1, which is no signature any more.
        (b"ssh-rsa", _) => None,
        _ => SIGNING.into_iter().find(|known| known.as_bytes() == kind),
    }
}

/// What a key is known by.
#[must_use]
pub fn fingerprint(key: &[u8]) -> Option<Fingerprint> {
    digest(&SHA256, key).as_ref().try_into().ok().map(Fingerprint)
}

/// The kind of a key that can sign here with another agent's help.
#[must_use]
pub fn kind(key: &[u8]) -> Option<&'static str> {
    let kind = Wire(key).string()?;
    SIGNING.into_iter().find(|known| known.as_bytes() == kind)
}

/// The bytes of a modulus of RSA by which something is verified here.
const RSA: std::ops::RangeInclusive<usize> = 256..=1024;

/// Whether this key, which is of a kind that signs here, is of a size that is verified here.
#[must_use]
pub fn is_sized(key: &[u8]) -> bool {
    let mut key = Wire(key);
    match key.string() {
        Some(b"ssh-rsa") => {
            key.magnitude().and_then(|_| key.magnitude()).is_some_and(|n| RSA.contains(&n.len()))
        }
        kind => kind.is_some(),
    }
}

/// Whether this public key's signature of this data is that one. RSA with SHA-1 is none.
#[must_use]
pub fn verifies(key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    verified(Wire(key), data, Wire(signature)).is_some()
}

fn verified(mut key: Wire<'_>, data: &[u8], mut signature: Wire<'_>) -> Option<()> {
    let (kind, algorithm) = (key.string()?, signature.string()?);
    let bytes = signature.string()?;
    let token = matches!(kind, TOKEN_ED25519 | TOKEN_P256);
    // What it says beside: whether somebody was there, and how often it signed.
    let said = if token { Some((signature.byte()?, signature.number()?)) } else { None };
    signature.end()?;
    match (kind, algorithm) {
        (TOKEN_ED25519, TOKEN_ED25519) => {
            let point = key.string()?;
            simple(&ED25519, point, &signed_by_token(key.string()?, said?, data), bytes)?;
        }
        (TOKEN_P256, TOKEN_P256) => {
            let (fixed, point) = (fixed::<32>(bytes)?, point(&mut key, b"nistp256")?);
            let data = signed_by_token(key.string()?, said?, data);
            simple(&ECDSA_P256_SHA256_FIXED, point, &data, &fixed)?;
        }
        (b"ssh-ed25519", b"ssh-ed25519") => simple(&ED25519, key.string()?, data, bytes)?,
        (b"ssh-rsa", b"rsa-sha2-256" | b"rsa-sha2-512") => {
            let (e, n) = (key.magnitude()?, key.magnitude()?);
            let sha256 = algorithm == b"rsa-sha2-256";
            let by = if sha256 { &RSA_PKCS1_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA512 };
            RsaPublicKeyComponents { n, e }.verify(by, data, bytes).ok()?;
        }
        (b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp256") => {
            let fixed = fixed::<32>(bytes)?;
            simple(&ECDSA_P256_SHA256_FIXED, point(&mut key, b"nistp256")?, data, &fixed)?;
        }
        (b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384") => {
            let fixed = fixed::<48>(bytes)?;
            simple(&ECDSA_P384_SHA384_FIXED, point(&mut key, b"nistp384")?, data, &fixed)?;
        }
        _ => return None,
    }
    key.end()
}

/// What a token signs: the digest of whom it signs for, what it says itself, and the digest of the data.
fn signed_by_token(application: &[u8], (flags, counter): (u8, u32), data: &[u8]) -> Vec<u8> {
    let [application, data] = [application, data].map(|bytes| digest(&SHA256, bytes));
    [application.as_ref(), &[flags], &counter.to_be_bytes(), data.as_ref()].concat()
}

fn simple(
    by: &'static dyn VerificationAlgorithm,
    key: &[u8],
    data: &[u8],
    signature: &[u8],
) -> Option<()> {
    UnparsedPublicKey::new(by, key).verify(data, signature).ok()
}

/// RFC 5656, section 3.1.
fn point<'b>(key: &mut Wire<'b>, curve: &[u8]) -> Option<&'b [u8]> {
    (key.string()? == curve).then_some(())?;
    key.string()
}

/// RFC 5656, section 3.1.2: two numbers, of so many bytes at most.
fn fixed<const SIZE: usize>(signature: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Wire(signature);
    let mut bytes = Vec::with_capacity(2 * SIZE);
    for _ in 0..2 {
        let number = wire.magnitude()?;
        bytes.resize(bytes.len() + SIZE.checked_sub(number.len())?, 0);
        bytes.extend_from_slice(number);
    }
    wire.end()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::wire::{put, put_magnitude};
    use super::*;

    #[test]
    fn a_key_of_rsa_is_of_a_size_that_is_verified() {
        for (bytes, wanted) in
            [(128, false), (255, false), (256, true), (1024, true), (1025, false)]
        {
            let mut key = Vec::new();
            put(&mut key, b"ssh-rsa");
            put_magnitude(&mut key, &[1, 0, 1]);
            put_magnitude(&mut key, &vec![0xff; bytes]);
            assert_eq!(is_sized(&key), wanted, "{bytes}");
        }
        let mut key = Vec::new();
        put(&mut key, b"ssh-ed25519");
        put(&mut key, &[7; 32]);
        assert!(is_sized(&key));
        assert!(!is_sized(&[]));
    }
}
