//! Certificates of the authority for the names whose TLS is ended here: each is made when somebody
//! first asks for it, and kept for a while.

use super::{
    Authority, AuthorityError, DAY, Of,
    der::{BIT_STRING, FIRST, OBJECT, SEQUENCE, common_name, extension, thing},
    generate, key_name, pair, public, subject_key,
};
use ring::signature::EcdsaKeyPair;
use rustls::{
    crypto::ring::sign::any_ecdsa_type,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, SigningKey},
};
use sandboxd_egress_plan::HostName;
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

/// So many certificates are kept; then the oldest makes room.
const KEPT: usize = 256;
/// How many days one holds, and how long before that it is made anew.
const HOLDS: u32 = 7;

/// Issues certificates.
pub struct Issuer {
    authority: Authority,
    /// One key for all of them: whoever had it could do nothing without the authority's trust, and with
    /// that needed no key.
    pair: EcdsaKeyPair,
    key: Arc<dyn SigningKey>,
    kept: BTreeMap<HostName, (SystemTime, Arc<CertifiedKey>)>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Issuer of {}", self.kept.len())
    }
}

impl Issuer {
    /// Of this authority.
    ///
    /// # Errors
    /// Where the kernel has no random bytes.
    pub fn new(authority: Authority) -> Result<Self, AuthorityError> {
        let document = generate()?;
        let der = PrivatePkcs8KeyDer::from(document.as_ref()).into();
        let key = any_ecdsa_type(&der).map_err(|_| AuthorityError("that is not a key"))?;
        Ok(Self { authority, pair: pair(document.as_ref())?, key, kept: BTreeMap::new() })
    }

    /// The certificate for this name, and its key.
    ///
    /// # Errors
    /// Where the kernel has no random bytes.
    pub fn leaf(
        &mut self,
        name: &HostName,
        now: SystemTime,
    ) -> Result<Arc<CertifiedKey>, AuthorityError> {
        let good = |(made, _): &&(SystemTime, _)| {
            now.duration_since(*made).is_ok_and(|age| age < DAY * (HOLDS - 1))
        };
        if let Some((_, leaf)) = self.kept.get(name).filter(good) {
            return Ok(Arc::clone(leaf));
        }
        let certificate = CertificateDer::from(self.certificate(name, now)?);
        let leaf = Arc::new(CertifiedKey::new(vec![certificate], Arc::clone(&self.key)));
        if self.kept.len() >= KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, (made, _))| *made);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.kept.remove(&oldest);
            }
        }
        self.kept.insert(name.clone(), (now, Arc::clone(&leaf)));
        Ok(leaf)
    }

    fn certificate(&self, name: &HostName, now: SystemTime) -> Result<Vec<u8>, AuthorityError> {
        const SERVER: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
        const DNS_NAME: u8 = FIRST | 2;
        let above = thing(FIRST, &[&key_name(&self.authority.pair)]);
        let names = thing(SEQUENCE, &[&thing(DNS_NAME, &[name.as_str().as_bytes()])]);
        let extensions = [
            extension(&[0x55, 0x1d, 0x13], true, &thing(SEQUENCE, &[])),
            // To sign what a server signs.
            extension(&[0x55, 0x1d, 0x0f], true, &[BIT_STRING, 2, 7, 0x80]),
            extension(&[0x55, 0x1d, 0x25], false, &thing(SEQUENCE, &[&thing(OBJECT, &[SERVER])])),
            extension(&[0x55, 0x1d, 0x11], false, &names),
            subject_key(&self.pair),
            extension(&[0x55, 0x1d, 0x23], false, &thing(SEQUENCE, &[&above])),
        ];
        // A name in this place has no more than 64 letters; who reads it is a person.
        let short: String = name.as_str().chars().take(64).collect();
        let of = Of {
            issuer: &self.authority.name,
            from: now - DAY,
            until: now + DAY * HOLDS,
            subject: &common_name(&short),
            public: &public(&self.pair),
        };
        of.signed(&extensions.concat(), &self.authority.pair)
    }
}
