//! Names of hosts: one spelling of each, so that two that are the same are equal.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The most bytes of a name.
pub const MOST: usize = 253;

/// What the host's own loopback is called inside, where a rule names it.
pub const HOST_INTERNAL: &str = "host.internal";

/// Why a text is not the name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError(pub &'static str);

impl fmt::Display for HostError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.0)
    }
}

impl core::error::Error for HostError {}

/// The name of a host: lower case, labels of `a-z`, `0-9`, `-` and `_`, no dot at its end, and nothing
/// that anybody could read as an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

impl HostName {
    /// The name that a client meant: in any case, and with a dot at its end or none.
    ///
    /// # Errors
    /// Where it is the name of no host.
    pub fn read(text: &[u8]) -> Result<Self, HostError> {
        let text = text.strip_suffix(b".").unwrap_or(text);
        if text.is_empty() || text.len() > MOST {
            return Err(HostError("a name has 1 to 253 letters"));
        }
        for label in text.split(|byte| *byte == b'.') {
            check(label)?;
        }
        let last = text.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        if is_number(last) {
            return Err(HostError("what ends with a number is an address and no name"));
        }
        let lower = text.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect();
        Ok(Self(lower))
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it lies below this one: `a.example.com` and `a.b.example.com` below `example.com`, but
    /// neither that itself nor `an-example.com`.
    #[must_use]
    pub fn is_below(&self, above: &Self) -> bool {
        let rest = self.0.strip_suffix(above.as_str());
        rest.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

fn check(label: &[u8]) -> Result<(), HostError> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    if label.is_empty() || label.len() > 63 {
        return Err(HostError("between two dots of a name there are 1 to 63 letters"));
    }
    if !label.iter().all(plain) {
        return Err(HostError(
            "a name has the letters a-z, 0-9, - and _; another alphabet is written in its xn-- form",
        ));
    }
    if label.starts_with(b"-") || label.ends_with(b"-") {
        return Err(HostError("no part of a name begins or ends with -"));
    }
    Ok(())
}

/// Whether inet_aton(3) or a browser would take a name that ends with this for an address: `127.1`,
/// `0x7f000001`, `2130706433`.
fn is_number(label: &[u8]) -> bool {
    let hex = label.strip_prefix(b"0x").or_else(|| label.strip_prefix(b"0X"));
    match hex {
        Some(digits) => digits.iter().all(u8::is_ascii_hexdigit),
        None => label.iter().all(u8::is_ascii_digit),
    }
}

impl TryFrom<String> for HostName {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        let read = Self::read(text.as_bytes())?;
        if read.0 == text {
            Ok(read)
        } else {
            Err(HostError("a name is written in lower case, with no dot at its end"))
        }
    }
}

impl TryFrom<&str> for HostName {
    type Error = HostError;

    fn try_from(text: &str) -> Result<Self, HostError> {
        Self::try_from(String::from(text))
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_has_one_spelling() {
        let read = HostName::read(b"API.Example.COM.").unwrap();
        assert_eq!(read.as_str(), "api.example.com");
        assert!(HostName::try_from("api.example.com").is_ok());
        assert!(HostName::try_from("API.example.com").is_err());
        assert!(HostName::try_from("api.example.com.").is_err());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a@b",
            "a:1",
            "allowed@evil",
            "-a.b",
            "a-.b",
            "a\0.b",
            "a\r\nb",
            "bücher.example",
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "127.1",
            "0177.0.0.1",
            "a.0x7f",
            "[::1]",
            "::1",
            "1.2.3.4.",
            "*.example.com",
        ] {
            assert!(HostName::read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(HostName::read("a".repeat(64).as_bytes()).is_err());
        assert!(HostName::read("a.".repeat(127).as_bytes()).is_ok());
        assert!(HostName::read("a.".repeat(128).as_bytes()).is_err());
    }

    #[test]
    fn below_is_below_and_not_beside() {
        let above = HostName::try_from("example.com").unwrap();
        let below = |text| HostName::try_from(text).unwrap().is_below(&above);
        assert!(below("a.example.com") && below("a.b.example.com"));
        assert!(
            !below("example.com") && !below("evil-example.com") && !below("example.com.evil.net")
        );
    }

    proptest! {
        #[test]
        fn what_is_read_is_a_name_and_stays_one(text in "[aA0._@:x-]{0,20}") {
            if let Ok(name) = HostName::read(text.as_bytes()) {
                prop_assert_eq!(HostName::try_from(name.as_str()), Ok(name.clone()));
                prop_assert!(name.as_str().parse::<core::net::IpAddr>().is_err());
            }
        }
    }
}
