//! Whom a request is for: its target, and the authorities in it.

use crate::rule::Whom;
use sandboxd_egress_plan::HostName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host, and a port where one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Whom.
    pub whom: Whom,
    /// The port.
    pub port: Option<u16>,
}

/// What a request line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A path, and a query where there is one: `/v1?x`.
    Path(String),
    /// `*`, of `OPTIONS`.
    Server,
    /// A host and a port, of `CONNECT`.
    Tunnel,
}

impl Authority {
    /// `example.com`, `example.com:80`, `192.0.2.1`, `[2001:db8::1]:80`: a name, or an address in the
    /// one spelling that has no other meaning; no user before it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let address = address.parse::<Ipv6Addr>().ok()?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(number(port)?),
                None if rest.is_empty() => None,
                None => return None,
            };
            return Some(Self { whom: Whom::Address(IpAddr::V6(address)), port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(number(port)?)),
            None => (text, None),
        };
        let whom = match host.parse::<Ipv4Addr>() {
            Ok(address) => Whom::Address(IpAddr::V4(address)),
            Err(_) => Whom::Name(HostName::read(host.as_bytes()).ok()?),
        };
        Some(Self { whom, port })
    }
}

/// A port: digits, no sign, no zero before it.
fn number(text: &str) -> Option<u16> {
    let port: u16 = text.parse().ok()?;
    (port != 0 && port.to_string() == text).then_some(port)
}

/// What a request line names, and the authority where it has one.
pub(super) fn target(method: &str, text: &str) -> Option<(Target, Option<Authority>)> {
    let plain = |byte: u8| (0x21..0x7f).contains(&byte) && byte != b'#';
    if !text.bytes().all(plain) {
        return None;
    }
    if method == "CONNECT" {
        let authority = Authority::read(text).filter(|authority| authority.port.is_some())?;
        return Some((Target::Tunnel, Some(authority)));
    }
    if text == "*" {
        return (method == "OPTIONS").then_some((Target::Server, None));
    }
    if text.starts_with('/') {
        return Some((Target::Path(text.to_owned()), None));
    }
    // The scheme is compared without case, as it is by those who read it.
    let rest = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let rest = rest.and_then(|_| text.get(7..))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let authority = Authority::read(authority)?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Some((Target::Path(path), Some(authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_one_spelling() {
        for text in ["example.com", "Example.com.:80", "192.0.2.1:1", "[2001:db8::1]", "[::1]:8080"]
        {
            assert!(Authority::read(text).is_some(), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:080",
            "a:+80",
            "a:80:80",
            "a:65536",
            "allowed@evil",
            "a b",
            "allowed:x@evil",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "127.1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%25eth0]",
            "[127.0.0.1]",
            "a/b",
            "a\\b",
        ] {
            assert_eq!(Authority::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_target_is_a_path_or_plain_http() {
        let path = |text| target("GET", text).map(|(target, _)| target);
        assert_eq!(path("/a?b"), Some(Target::Path("/a?b".into())));
        assert_eq!(path("HTTP://a.example/b"), Some(Target::Path("/b".into())));
        assert_eq!(path("http://a.example?b"), Some(Target::Path("/?b".into())));
        for text in [
            "",
            "a",
            "a.example/b",
            "https://a.example/",
            "http://allowed@evil/",
            "http:///",
            "/a#b",
            "/a\u{e9}",
            "*",
            "http://a.example:x/",
            "http:/a",
            "é",
        ] {
            assert_eq!(path(text), None, "{text}");
        }
        assert_eq!(target("OPTIONS", "*"), Some((Target::Server, None)));
        assert!(target("CONNECT", "a.example:443").is_some());
        assert_eq!(target("CONNECT", "a.example"), None);
        assert_eq!(target("CONNECT", "/"), None);
    }
}
