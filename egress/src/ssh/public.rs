//! Whether a key signed something.

use super::wire::Wire;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// Whether this public key's signature of this data is that one. RSA with SHA-1 is none.
#[must_use]
pub fn verifies(key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    verified(Wire(key), data, Wire(signature)).is_some()
}

fn verified(mut key: Wire<'_>, data: &[u8], mut signature: Wire<'_>) -> Option<()> {
    let (kind, algorithm) = (key.string()?, signature.string()?);
    let bytes = signature.string()?;
    signature.end()?;
    match (kind, algorithm) {
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
