use super::*;
use crate::rule::tests::host;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::Arc;

/// Whether somebody who trusts this authority alone takes this for the name.
fn trusts(authority: &[u8], leaf: &[u8], name: &str, now: SystemTime) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec())).unwrap();
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let now = UnixTime::since_unix_epoch(now.duration_since(std::time::UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&CertificateDer::from(leaf), &[], &name, &[], now).is_ok()
}

#[test]
fn a_certificate_is_for_its_name_and_of_its_authority_and_for_a_week() {
    let now = SystemTime::now();
    let authority = Authority::new("agent-1", now).unwrap();
    let (own, key) = (authority.certificate().to_vec(), authority.key().to_vec());
    let mut issuer = Issuer::new(Authority::handed("agent-1", &own, &key).unwrap()).unwrap();
    let name = host("api.example.com");
    let leaf = issuer.leaf(&name, now).unwrap();
    let der = leaf.cert[0].as_ref();
    assert!(trusts(&own, der, "api.example.com", now));
    assert!(!trusts(&own, der, "evil.example.com", now));
    assert!(!trusts(&own, der, "api.example.com", now + DAY * 8));
    let other = Authority::new("agent-1", now).unwrap();
    assert!(!trusts(other.certificate(), der, "api.example.com", now));
    // It is kept, until it holds no longer for long.
    assert_eq!(issuer.leaf(&name, now + DAY * 5).unwrap().cert, leaf.cert);
    let later = issuer.leaf(&name, now + DAY * 7).unwrap();
    assert!(trusts(&own, later.cert[0].as_ref(), "api.example.com", now + DAY * 9));
    // A certificate signs no other.
    assert!(Authority::handed("agent-1", &own, b"no key").is_err());
}

#[test]
fn not_more_are_kept_than_there_is_room_for() {
    let now = SystemTime::now();
    let mut issuer = Issuer::new(Authority::new("agent-1", now).unwrap()).unwrap();
    for number in 0..600 {
        issuer.leaf(&host(&format!("n{number}.example.com")), now).unwrap();
    }
    assert_eq!(format!("{issuer:?}"), "Issuer of 256");
}

#[test]
fn a_certificate_is_written_as_everybody_reads_it() {
    let pem = Authority::new(&"x".repeat(100), SystemTime::now()).unwrap().pem();
    let mut lines = pem.lines();
    assert_eq!(lines.next(), Some("-----BEGIN CERTIFICATE-----"));
    assert_eq!(lines.next_back(), Some("-----END CERTIFICATE-----"));
    assert!(lines.all(|line| !line.is_empty() && line.len() <= 64));
}
