//! The same certificates as a file that Java reads: it trusts those of a key store, and knows no file of
//! certificates as such.
//!
//! The older of its two formats, "JKS", which every Java still reads and which holds nothing but the
//! certificates, each by a name, and a digest that is not looked at where no password is given.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// An entry that is trusted, and not a key.
const TRUSTED: u32 = 2;
/// What everybody uses who has nothing to keep there.
const PASSWORD: &str = "changeit";
/// What goes into the digest before the rest.
const SALT: &[u8] = b"Mighty Aphrodite";

/// All the certificates of this text, which is PEM.
#[must_use]
pub fn trust_store(pem: &[u8]) -> Vec<u8> {
    // Some hosts have one or the other that is none any more.
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).flatten().collect();
    let mut store = Vec::with_capacity(pem.len());
    number(&mut store, MAGIC);
    number(&mut store, VERSION);
    number(&mut store, u32::try_from(all.len()).unwrap_or(u32::MAX));
    for (place, certificate) in all.iter().enumerate() {
        number(&mut store, TRUSTED);
        text(&mut store, &format!("authority-{place}"));
        // Since when it is in there, which is of interest to nobody.
        store.extend_from_slice(&[0; 8]);
        text(&mut store, "X.509");
        number(&mut store, u32::try_from(certificate.len()).unwrap_or(u32::MAX));
        store.extend_from_slice(certificate);
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    PASSWORD.encode_utf16().for_each(|unit| digest.update(&unit.to_be_bytes()));
    digest.update(SALT);
    digest.update(&store);
    store.extend_from_slice(digest.finish().as_ref());
    store
}

fn number(to: &mut Vec<u8>, number: u32) {
    to.extend_from_slice(&number.to_be_bytes());
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;
    use std::time::SystemTime;

    #[test]
    fn every_certificate_is_in_it() {
        let [one, other] =
            ["agent-1", "agent-2"].map(|id| Authority::new(id, SystemTime::now()).unwrap());
        let store = trust_store(format!("{}\nnothing\n{}", one.pem(), other.pem()).as_bytes());
        assert!(store.starts_with(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2]));
        for certificate in [one.certificate(), other.certificate()] {
            assert!(store.windows(certificate.len()).any(|window| window == certificate));
        }
        assert_eq!(trust_store(b"").len(), 12 + 20);
    }
}
