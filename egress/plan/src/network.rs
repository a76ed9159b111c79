//! Networks: the addresses that begin alike.

use alloc::{
    format,
    string::{String, ToString as _},
};
use core::{fmt, net::IpAddr};
use serde::{Deserialize, Serialize};

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkError(pub String);

impl fmt::Display for NetworkError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl core::error::Error for NetworkError {}

/// `10.0.0.0/8`, `fd00::/8`; a single address is a network of one, `192.0.2.1/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// The address as a number of 128 bits, at their beginning, and how many of them its family has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn mask(prefix: u8) -> u128 {
    !u128::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

impl Network {
    /// The network of this address and all that have its first `prefix` bits.
    ///
    /// # Errors
    /// Where its family has fewer bits, or the address has others beside them. An address that is
    /// mapped (`::ffff:10.0.0.0`) is one of the other family, and written so.
    pub fn new(first: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let (number, length) = bits(first);
        if prefix > length {
            return Err(NetworkError(format!("{first} has {length} bits, not {prefix}")));
        }
        if number & !mask(prefix) != 0 {
            return Err(NetworkError(format!(
                "{first}/{prefix} has bits set after the first {prefix}"
            )));
        }
        if let IpAddr::V6(address) = first
            && let Some(mapped) = address.to_ipv4_mapped()
        {
            return Err(NetworkError(format!("{first} is written {mapped}")));
        }
        Ok(Self { first, prefix })
    }

    /// The network of this address alone.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        Self { first: address, prefix: bits(address).1 }
    }

    /// Its first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// How many bits its addresses share.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether this address is of it. One of the other family never is, nor is a mapped one.
    #[must_use]
    pub fn has(self, address: IpAddr) -> bool {
        let ((first, length), (other, others)) = (bits(self.first), bits(address));
        length == others && first == other & mask(self.prefix)
    }

    /// Whether all addresses of this one are of it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.has(other.first)
    }

    /// The address so many after the first, where it has that many.
    #[must_use]
    pub fn nth(self, place: u32) -> Option<IpAddr> {
        let (_, length) = bits(self.first);
        let free = length - self.prefix;
        if free < 32 && u64::from(place) >= 1_u64 << free {
            return None;
        }
        match self.first {
            IpAddr::V4(first) => Some(IpAddr::V4((first.to_bits() | place).into())),
            IpAddr::V6(first) => Some(IpAddr::V6((first.to_bits() | u128::from(place)).into())),
        }
    }

    /// At which place this address is, where it is of it and not too far from the first to say.
    #[must_use]
    pub fn place(self, address: IpAddr) -> Option<u32> {
        if !self.has(address) {
            return None;
        }
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => Some(address.to_bits() - first.to_bits()),
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                u32::try_from(address.to_bits() - first.to_bits()).ok()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }
}

impl TryFrom<&str> for Network {
    type Error = NetworkError;

    fn try_from(text: &str) -> Result<Self, NetworkError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return Err(NetworkError(format!(
                "{text} is an address: as a network it is {text}/{bits}"
            )));
        }
        let unlike = || NetworkError(format!("{text} is not a network, as 10.0.0.0/8 is"));
        let (first, prefix) = text.split_once('/').ok_or_else(unlike)?;
        let first = first.parse().map_err(|_| unlike())?;
        // `parse` would take `+8` and `08`.
        let parsed: u8 = prefix.parse().map_err(|_| unlike())?;
        if parsed.to_string() != prefix {
            return Err(unlike());
        }
        Self::new(first, parsed)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        Self::try_from(text.as_str())
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        Network::try_from(text).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_written_in_one_way() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "fd00::/8", "::/0", "::1/128"] {
            assert_eq!(network(text).to_string(), text);
        }
        for text in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "010.0.0.0/8",
            "10/8",
            "::/129",
            "::ffff:10.0.0.0/104",
            "fd00::1/8",
            "example.com/8",
            "",
        ] {
            assert!(Network::try_from(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_its_own_family_is_of_it() {
        let ten = network("10.0.0.0/8");
        assert!(ten.has(address("10.255.0.1")) && !ten.has(address("11.0.0.0")));
        assert!(!ten.has(address("::ffff:10.0.0.1")));
        assert!(!network("::/0").has(address("10.0.0.1")));
        assert!(ten.contains(network("10.1.0.0/16")) && !network("10.1.0.0/16").contains(ten));
        assert!(!network("0.0.0.0/0").contains(network("fd00::/8")));
    }

    #[test]
    fn places_are_counted_from_the_first() {
        let fakes = network("198.18.0.0/15");
        assert_eq!(fakes.nth(1), Some(address("198.18.0.1")));
        assert_eq!(fakes.nth(0x1_ffff), Some(address("198.19.255.255")));
        assert_eq!(fakes.nth(0x2_0000), None);
        assert_eq!(network("fd00::/64").nth(7), Some(address("fd00::7")));
        assert_eq!(network("fd00::/64").place(address("fd00::1:0:0:1")), None);
    }

    proptest! {
        #[test]
        fn the_place_of_the_nth_is_n(place: u32, six: bool) {
            let range = network(if six { "fd00::/64" } else { "198.18.0.0/15" });
            if let Some(address) = range.nth(place) {
                prop_assert!(range.has(address));
                prop_assert_eq!(range.place(address), Some(place));
            }
        }
    }
}
