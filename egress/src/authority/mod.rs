//! The certificate authority of one sandbox: nobody trusts it but the programs in there. Its key is in
//! the memory of two processes, the supervisor's and this one's, and nowhere else.

mod der;
mod issuer;
pub mod java;

use der::{
    FIRST, INTEGER, MADE, OBJECT, OCTET_STRING, SEQUENCE, YES, bits, common_name, extension, thing,
    time,
};
use ring::{
    digest::{SHA256, digest},
    pkcs8::Document,
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use sandboxd_audit::encode::base64;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

pub use issuer::Issuer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority is one: longer than what it is for runs.
const AUTHORITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// An authority.
pub struct Authority {
    pair: EcdsaKeyPair,
    /// The key as it is handed over.
    key: Zeroizing<Vec<u8>>,
    certificate: Vec<u8>,
    name: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Authority")
    }
}

/// There is no authority, or no certificate of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorityError(pub &'static str);

impl std::fmt::Display for AuthorityError {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.0)
    }
}

impl std::error::Error for AuthorityError {}

impl Authority {
    /// A new one, for the sandbox of this id.
    ///
    /// # Errors
    /// Where the kernel has no random bytes.
    pub fn new(id: &str, now: SystemTime) -> Result<Self, AuthorityError> {
        let document = generate()?;
        let key = Zeroizing::new(document.as_ref().to_vec());
        let (pair, name) = (pair(&key)?, name(id));
        let until = now + AUTHORITY;
        let public = public(&pair);
        let extensions = [
            extension(&[0x55, 0x1d, 0x13], true, &thing(SEQUENCE, &[YES, &[INTEGER, 1, 0]])),
            // To sign certificates, and nothing else.
            extension(&[0x55, 0x1d, 0x0f], true, &[der::BIT_STRING, 2, 2, 0x04]),
            subject_key(&pair),
        ];
        let of = Of { issuer: &name, from: now - DAY, until, subject: &name, public: &public };
        let certificate = of.signed(&extensions.concat(), &pair)?;
        Ok(Self { pair, key, certificate, name })
    }

    /// The one that was handed over.
    ///
    /// # Errors
    /// Where it is none.
    pub(crate) fn handed(id: &str, certificate: &[u8], key: &[u8]) -> Result<Self, AuthorityError> {
        let key = Zeroizing::new(key.to_vec());
        Ok(Self { pair: pair(&key)?, key, certificate: certificate.to_vec(), name: name(id) })
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
        for (at, letter) in base64(&self.certificate).chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                text.push('\n');
            }
            text.push(letter);
        }
        text + "\n-----END CERTIFICATE-----\n"
    }

    /// Its key, PKCS #8.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

/// What a certificate says.
struct Of<'a> {
    issuer: &'a [u8],
    from: SystemTime,
    until: SystemTime,
    subject: &'a [u8],
    public: &'a [u8],
}

const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

impl Of<'_> {
    /// The certificate with these extensions, signed with this key.
    fn signed(&self, extensions: &[u8], pair: &EcdsaKeyPair) -> Result<Vec<u8>, AuthorityError> {
        let random = SystemRandom::new();
        let mut serial = [0; 16];
        random.fill(&mut serial).map_err(|_| NO_RANDOM)?;
        // It is no negative number, and none with zeros before it.
        serial[0] = serial[0] & 0x7f | 0x40;
        let algorithm = thing(SEQUENCE, &[&thing(OBJECT, &[ECDSA_WITH_SHA256])]);
        let third = thing(FIRST | MADE, &[INTEGER_TWO]);
        let signed = thing(
            SEQUENCE,
            &[
                &third,
                &thing(INTEGER, &[&serial]),
                &algorithm,
                self.issuer,
                &thing(SEQUENCE, &[&time(self.from), &time(self.until)]),
                self.subject,
                self.public,
                &thing(FIRST | MADE | 3, &[&thing(SEQUENCE, &[extensions])]),
            ],
        );
        let signature = pair.sign(&random, &signed).map_err(|_| NO_RANDOM)?;
        Ok(thing(SEQUENCE, &[&signed, &algorithm, &bits(signature.as_ref())]))
    }
}

/// The number of the third version, counted from none.
const INTEGER_TWO: &[u8] = &[INTEGER, 1, 2];

const NO_RANDOM: AuthorityError = AuthorityError("the kernel has no random bytes");

fn generate() -> Result<Document, AuthorityError> {
    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .map_err(|_| NO_RANDOM)
}

fn pair(key: &[u8]) -> Result<EcdsaKeyPair, AuthorityError> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key, &SystemRandom::new())
        .map_err(|_| AuthorityError("that is not the key of an authority"))
}

/// The authority's name: whose it is, for whoever looks at the certificate. An id has no more than what
/// fits.
fn name(id: &str) -> Vec<u8> {
    let id: String = id.chars().take(40).collect();
    common_name(&format!("sandboxd for {id}"))
}

fn public(pair: &EcdsaKeyPair) -> Vec<u8> {
    let algorithm = [thing(OBJECT, &[PUBLIC_KEY]), thing(OBJECT, &[P256])].concat();
    let bytes = pair.public_key().as_ref();
    thing(SEQUENCE, &[&thing(SEQUENCE, &[&algorithm]), &bits(bytes)])
}

/// What a key is called: the beginning of a digest of it.
fn key_name(pair: &EcdsaKeyPair) -> Vec<u8> {
    digest(&SHA256, pair.public_key().as_ref()).as_ref().iter().take(20).copied().collect()
}

fn subject_key(pair: &EcdsaKeyPair) -> Vec<u8> {
    extension(&[0x55, 0x1d, 0x0e], false, &thing(OCTET_STRING, &[&key_name(pair)]))
}

#[cfg(test)]
mod tests;
