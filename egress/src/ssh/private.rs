//! Private keys, as `ssh-keygen` writes them (PROTOCOL.key of OpenSSH), and what they sign. Ed25519, ECDSA on
//! P-256 and P-384, RSA of 2048 to 4096 bits with SHA-2.

use super::public::{RSA_SHA256, RSA_SHA512, algorithm, fingerprint, verifies};
use super::wire::{Wire, put_magnitude, strings};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
};
use sandboxd_egress_plan::Fingerprint;
use sandboxd_egress_plan::ssh::{KINDS, SIGNING, unbase64};
use std::fmt;
use zeroize::Zeroizing;

const FIRST: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const LAST: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The bytes of a modulus of RSA.
const RSA: std::ops::RangeInclusive<usize> = 256..=512;

/// A key that signs.
pub struct Key {
    public: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl fmt::Debug for Key {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a key")
    }
}

/// Why something is no key that signs, in words that say nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// It is written in another way.
    Format,
    /// A passphrase opens it; what it is known by.
    Encrypted(Option<Fingerprint>),
    /// It lies on a token; what it is known by.
    Token(Option<Fingerprint>),
    /// It is of a kind that does not sign here.
    Kind,
    /// It does not fit together.
    Broken,
}

impl fmt::Display for KeyError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Format => "is not a private key in OpenSSH's format",
            Self::Encrypted(_) => "is encrypted with a passphrase, which cannot be entered here",
            Self::Token(_) => "is on a token, which only an ssh-agent can use",
            Self::Kind => "is of a type that is not supported here",
            Self::Broken => "is damaged",
        })
    }
}

impl KeyError {
    /// What to do.
    #[must_use]
    pub fn remedy(self) -> String {
        let remedy = match self {
            Self::Format => "convert it: ssh-keygen -p -f FILE",
            Self::Encrypted(key) | Self::Token(key) => {
                let key = key.map_or_else(|| String::from("SHA256:…"), String::from);
                return format!(
                    "add it to your ssh-agent (ssh-add FILE), and write from = \"agent:{key}\""
                );
            }
            Self::Kind => {
                "use Ed25519, ECDSA on P-256 or P-384, or RSA of 2048 to 4096 bits: ssh-keygen -t ed25519"
            }
            Self::Broken => "restore the whole file, or make another: ssh-keygen -t ed25519",
        };
        remedy.to_owned()
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// The key in such a file.
    ///
    /// # Errors
    /// Why there is none that signs.
    pub fn read(text: &[u8]) -> Result<Self, KeyError> {
        let bytes = bytes(text)?;
        let (public, section) = outer(&bytes)?;
        let mut section = fits(public, section)?;
        let pair = pair(&mut section)?;
        let key = Self { public: public.to_vec(), pair };
        // What it signs is what its public half says, whatever else stands there.
        let tried = key.sign(b"try", RSA_SHA512).ok_or(KeyError::Broken)?;
        if verifies(public, b"try", &tried) { Ok(key) } else { Err(KeyError::Broken) }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let algorithm = algorithm(&self.public, flags)?;
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(data).as_ref().to_vec(),
            Pair::Ecdsa(pair) => {
                let fixed = pair.sign(&random, data).ok()?;
                let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
                let mut numbers = Vec::new();
                put_magnitude(&mut numbers, r);
                put_magnitude(&mut numbers, s);
                numbers
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let by = if flags == RSA_SHA256 { &RSA_PKCS1_SHA256 } else { &RSA_PKCS1_SHA512 };
                pair.sign(by, &random, data, &mut signature).ok()?;
                signature
            }
        };
        Some(strings(&[algorithm.as_bytes(), &signature]))
    }
}

/// Whether there is one in such a file, as far as can be told without making it.
///
/// # Errors
/// Why there is none that signs.
pub fn look(text: &[u8]) -> Result<(), KeyError> {
    let bytes = bytes(text)?;
    let (public, section) = outer(&bytes)?;
    fits(public, section).map(drop)
}

/// What is written in letters.
fn bytes(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = std::str::from_utf8(text).map_err(|_| KeyError::Format)?.trim();
    let inner = text.strip_prefix(FIRST).and_then(|text| text.strip_suffix(LAST));
    let inner = inner.ok_or(KeyError::Format)?;
    let mut joined = Zeroizing::new(String::with_capacity(inner.len()));
    joined.extend(inner.lines().map(str::trim));
    Ok(Zeroizing::new(unbase64(&joined).ok_or(KeyError::Format)?))
}

/// The public key, and what the private one is in.
fn outer(bytes: &[u8]) -> Result<(&[u8], &[u8]), KeyError> {
    let wire = bytes.strip_prefix(MAGIC).ok_or(KeyError::Format)?;
    let (cipher, public, section) = parts(Wire(wire)).ok_or(KeyError::Format)?;
    if cipher != b"none" {
        // Its public half is not.
        return Err(KeyError::Encrypted(fingerprint(public)));
    }
    let kind = Wire(public).string().ok_or(KeyError::Broken)?;
    let is_in = |all: &[&str]| all.iter().any(|known| known.as_bytes() == kind);
    match (is_in(&KINDS), is_in(&SIGNING)) {
        (true, _) => Ok((public, section)),
        (false, true) => Err(KeyError::Token(fingerprint(public))),
        (false, false) => Err(KeyError::Kind),
    }
}

/// The cipher, the public key, and what the cipher is for.
fn parts(mut wire: Wire<'_>) -> Option<(&[u8], &[u8], &[u8])> {
    let cipher = wire.string()?;
    let (_kdf, _options) = (wire.string()?, wire.string()?);
    if wire.number()? != 1 {
        return None;
    }
    let (public, section) = (wire.string()?, wire.string()?);
    wire.end()?;
    Some((cipher, public, section))
}

/// What the private half is in, where it is that of the public one, and not too short or too long.
fn fits<'b>(public: &'b [u8], section: &'b [u8]) -> Result<Wire<'b>, KeyError> {
    let mut section = Wire(section);
    let all = halves(public, section).ok_or(KeyError::Broken)?;
    let [kind, .., last] = all;
    if kind == b"ssh-rsa" && !RSA.contains(&last.len()) {
        return Err(KeyError::Kind);
    }
    // The two that were compared.
    section.number().zip(section.number()).ok_or(KeyError::Broken)?;
    Ok(section)
}

/// The kind and what the public half is made of, where both halves say the same of it: the curve and the
/// point, or of RSA the exponent and then the modulus.
fn halves<'b>(public: &'b [u8], mut section: Wire<'b>) -> Option<[&'b [u8]; 3]> {
    // Two numbers that are the same where it was decrypted as it was encrypted.
    let same = section.number()? == section.number()?;
    let mut public = Wire(public);
    let (kind, own) = (public.string()?, section.string()?);
    let (here, there) = match kind {
        b"ssh-ed25519" => ([&[][..], public.string()?], [&[][..], section.string()?]),
        b"ssh-rsa" => {
            let here = [public.magnitude()?, public.magnitude()?];
            let (n, e) = (section.magnitude()?, section.magnitude()?);
            (here, [e, n])
        }
        _ => {
            let here = [public.string()?, public.string()?];
            (here, [section.string()?, section.string()?])
        }
    };
    public.end()?;
    let [first, last] = here;
    (same && kind == own && here == there).then_some([kind, first, last])
}

fn pair(section: &mut Wire<'_>) -> Result<Pair, KeyError> {
    let broken = KeyError::Broken;
    let kind = section.string().ok_or(broken)?;
    match kind {
        b"ssh-ed25519" => ed25519(section).ok_or(broken),
        b"ecdsa-sha2-nistp256" => ecdsa(section, &ECDSA_P256_SHA256_FIXED_SIGNING).ok_or(broken),
        b"ecdsa-sha2-nistp384" => ecdsa(section, &ECDSA_P384_SHA384_FIXED_SIGNING).ok_or(broken),
        b"ssh-rsa" => rsa(section),
        _ => Err(KeyError::Kind),
    }
}

fn ed25519(section: &mut Wire<'_>) -> Option<Pair> {
    let public = section.string()?;
    let (seed, again) = section.string()?.split_at_checked(32)?;
    if again != public {
        return None;
    }
    Ed25519KeyPair::from_seed_and_public_key(seed, public).ok().map(Pair::Ed25519)
}

fn ecdsa(section: &mut Wire<'_>, by: &'static EcdsaSigningAlgorithm) -> Option<Pair> {
    let (_curve, public) = (section.string()?, section.string()?);
    let number = section.magnitude()?;
    // The point is a byte and two numbers of the curve's size.
    let size = public.len().checked_sub(1)? / 2;
    let mut padded = Zeroizing::new(vec![0; size.checked_sub(number.len())?]);
    padded.reserve_exact(number.len());
    padded.extend_from_slice(number);
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(by, &padded, public, &SystemRandom::new());
    pair.ok().map(Pair::Ecdsa)
}

fn rsa(section: &mut Wire<'_>) -> Result<Pair, KeyError> {
    let mut next = || section.magnitude().ok_or(KeyError::Broken);
    let [n, e, d, q_inv, p, q] = [next()?, next()?, next()?, next()?, next()?, next()?];
    let (d_p, d_q) = (reduced(d, p), reduced(d, q));
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: &d_p,
        dQ: &d_q,
        qInv: q_inv,
    };
    let pair = RsaKeyPair::from_components(&components).map_err(|_| KeyError::Broken)?;
    Ok(Pair::Rsa(Box::new(pair)))
}

/// What is left of an exponent modulo a prime less one: OpenSSH does not write it down, and without it the
/// signature cannot be made out of the primes. An odd prime, less one, ends with a bit that is not set.
fn reduced(exponent: &[u8], prime: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut modulus = Zeroizing::new(prime.to_vec());
    modulus.iter_mut().next_back().into_iter().for_each(|last| *last &= 0xfe);
    // With a byte in front, so that twice of it has room.
    let mut left = Zeroizing::new(vec![0_u8; modulus.len() + 1]);
    for byte in exponent {
        for bit in (0..8).rev() {
            doubled(&mut left, byte >> bit & 1);
            less(&mut left, &modulus);
        }
    }
    let zeros = left.iter().take_while(|byte| **byte == 0).count();
    Zeroizing::new(left.get(zeros..).unwrap_or_default().to_vec())
}

fn doubled(number: &mut [u8], bit: u8) {
    let mut carry = bit;
    for byte in number.iter_mut().rev() {
        (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
    }
}

/// Takes the modulus off, where that leaves something; the number has a byte more.
fn less(number: &mut [u8], modulus: &[u8]) {
    let Some((first, rest)) = number.split_first_mut() else { return };
    if *first == 0 && (&*rest) < modulus {
        return;
    }
    let mut borrow = false;
    for (byte, taken) in rest.iter_mut().zip(modulus).rev() {
        let (once, below) = byte.overflowing_sub(*taken);
        let (twice, again) = once.overflowing_sub(u8::from(borrow));
        (*byte, borrow) = (twice, below || again);
    }
    *first = first.wrapping_sub(u8::from(borrow));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_left_is_what_division_leaves(exponent in any::<u64>(), prime in 2_u32..) {
            let prime = u64::from(prime | 1);
            let bytes = prime.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let left = reduced(&exponent.to_be_bytes(), &bytes[zeros..]);
            let left = left.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
            prop_assert_eq!(left, exponent % (prime - 1));
        }

        #[test]
        fn any_bytes_are_a_key_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Key::read(&bytes).unwrap_err();
        }
    }
}
