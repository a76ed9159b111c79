//! Which addresses are the public internet, and which of the others a rule names.
//!
//! A name that a rule allows may lead anywhere: its owner decides. So each address that it leads to is
//! looked at before it is connected to, and what is private, the host's own, of one link, of a provider's
//! metadata service, or another spelling of such, is refused unless the rule has a network that is wholly
//! of that range. `0.0.0.0/0` names no private address.

use sandboxd_egress_plan::{Network, Rule, Target};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn four(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> (IpAddr, u8) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

const fn six(a: u16, b: u16, c: u16, prefix: u8) -> (IpAddr, u8) {
    (IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), prefix)
}

/// What is not the public internet and may be named.
const SPECIAL: &[(IpAddr, u8)] = &[
    four(10, 0, 0, 0, 8),
    // Carriers, and a metadata service.
    four(100, 64, 0, 0, 10),
    // The other metadata services.
    four(169, 254, 0, 0, 16),
    four(168, 63, 129, 16, 32),
    four(172, 16, 0, 0, 12),
    four(192, 0, 0, 0, 24),
    four(192, 0, 2, 0, 24),
    four(192, 88, 99, 0, 24),
    four(192, 168, 0, 0, 16),
    four(198, 18, 0, 0, 15),
    four(198, 51, 100, 0, 24),
    four(203, 0, 113, 0, 24),
    // Addresses of the other family in another spelling: NAT64, Teredo and its like, 6to4.
    six(0x64, 0xff9b, 0, 96),
    six(0x64, 0xff9b, 1, 48),
    six(0x2001, 0, 0, 23),
    six(0x2002, 0, 0, 16),
    six(0x2001, 0xdb8, 0, 32),
    six(0x3fff, 0, 0, 20),
    six(0xfc00, 0, 0, 7),
    six(0xfe80, 0, 0, 10),
];

/// Where all public addresses of this family are, as far as they are handed out.
const GLOBAL: (IpAddr, u8) = six(0x2000, 0, 0, 3);

fn is_of((first, prefix): (IpAddr, u8), address: IpAddr) -> bool {
    Network::new(first, prefix).is_ok_and(|network| network.has(address))
}

/// What no rule can name: nobody, everybody, and a loopback, which has a name of its own.
fn is_never(address: IpAddr) -> bool {
    match address {
        // The last sixteenth is kept for nothing, and ends with everybody.
        IpAddr::V4(four) => {
            four.octets()[0] == 0
                || four.is_loopback()
                || four.is_multicast()
                || four.octets()[0] >= 240
        }
        // All of ::/32 is no address of an interface but the loopback, or spells one of the other
        // family.
        IpAddr::V6(six) => six.is_multicast() || six.segments()[..2] == [0, 0],
    }
}

fn special(address: IpAddr) -> Option<Network> {
    let found = SPECIAL.iter().find(|range| is_of(**range, address));
    found.and_then(|(first, prefix)| Network::new(*first, *prefix).ok())
}

/// Whether it is an address of the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    let placed = address.is_ipv4() || is_of(GLOBAL, address);
    placed && !is_never(address) && special(address).is_none()
}

/// Whether this network is there to name this address, which is not public.
fn names(network: Network, address: IpAddr) -> bool {
    if is_never(address) || !network.has(address) {
        return false;
    }
    match special(address) {
        Some(range) => range.contains(network),
        // Not handed out to anybody yet: only who writes it exactly means it.
        None => network.prefix() >= 16,
    }
}

/// Whether a connection under this rule may go to this address.
#[must_use]
pub fn allows(rule: &Rule, address: IpAddr) -> bool {
    match &rule.target {
        Target::Host => address.is_loopback(),
        Target::Network(network) if is_public(address) => network.has(address),
        Target::Network(network) => names(*network, address),
        Target::Name(_) | Target::Below(_) => {
            is_public(address) || rule.within.iter().any(|network| names(*network, address))
        }
    }
}

/// Whether the rule means this address and no other, so that it may be one of the host's own: a network
/// in which the host happens to lie does not name it.
#[must_use]
pub fn means(rule: &Rule, address: IpAddr) -> bool {
    let one = Network::one(address);
    match &rule.target {
        Target::Host => address.is_loopback(),
        Target::Network(network) => *network == one,
        Target::Name(_) | Target::Below(_) => rule.within.contains(&one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::{named, rule};
    use proptest::prelude::*;
    use sandboxd_egress_plan::Carries;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const PRIVATE: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1",
        "2001::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
        "100::1",
    ];

    #[test]
    fn only_the_public_internet_is_public() {
        for text in PRIVATE {
            assert!(!is_public(address(text)), "{text}");
            assert!(!allows(&named("a.example", 443, Carries::Tls), address(text)), "{text}");
        }
        for text in
            ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1"]
        {
            assert!(is_public(address(text)), "{text}");
            assert!(allows(&named("a.example", 443, Carries::Tls), address(text)), "{text}");
        }
    }

    #[test]
    fn a_wide_network_names_nothing_private_and_a_narrow_one_only_its_own() {
        let to = |text| rule(Target::Network(Network::try_from(text).unwrap()), 443, Carries::Tcp);
        for text in PRIVATE {
            for wide in ["0.0.0.0/0", "::/0", "8.0.0.0/6", "fc00::/6"] {
                assert!(!allows(&to(wide), address(text)), "{wide} {text}");
            }
        }
        assert!(allows(&to("0.0.0.0/0"), address("8.8.8.8")));
        assert!(allows(&to("10.1.0.0/16"), address("10.1.2.3")));
        assert!(!allows(&to("10.1.0.0/16"), address("10.2.0.1")));
        assert!(!allows(&to("10.1.0.0/16"), address("::ffff:10.1.2.3")));
        assert!(allows(&to("169.254.169.254/32"), address("169.254.169.254")));
        assert!(!allows(&to("127.0.0.1/32"), address("127.0.0.1")));
        assert!(!allows(&to("224.0.0.0/4"), address("224.0.0.1")));
    }

    #[test]
    fn a_name_lies_where_the_rule_says_and_the_loopback_is_the_hosts_alone() {
        let mut db = named("db.internal", 5432, Carries::Tcp);
        db.within = vec![Network::try_from("10.0.0.0/24").unwrap()];
        assert!(allows(&db, address("10.0.0.5")) && allows(&db, address("8.8.8.8")));
        assert!(!allows(&db, address("10.0.1.5")) && !allows(&db, address("127.0.0.1")));
        let host = rule(Target::Host, 8080, Carries::Tcp);
        assert!(allows(&host, address("127.0.0.1")) && allows(&host, address("::1")));
        assert!(!allows(&host, address("10.0.0.1")) && !allows(&host, address("8.8.8.8")));
        assert!(means(&host, address("127.0.0.1")) && !means(&db, address("10.0.0.5")));
        db.within.push(Network::one(address("10.0.0.5")));
        assert!(means(&db, address("10.0.0.5")) && !means(&db, address("10.0.0.6")));
    }

    proptest! {
        #[test]
        fn what_the_standard_library_calls_private_is_not_public(bits: u32, high: u64, low: u64) {
            let four = Ipv4Addr::from(bits);
            let known = four.is_private() || four.is_loopback() || four.is_link_local()
                || four.is_multicast() || four.is_broadcast() || four.is_documentation()
                || four.is_unspecified();
            prop_assert!(!(known && is_public(IpAddr::V4(four))));
            prop_assert!(!is_public(IpAddr::V6(four.to_ipv6_mapped())));
            let six = Ipv6Addr::from((u128::from(high) << 64) | u128::from(low));
            let known = six.is_multicast() || six.is_unique_local() || six.is_unicast_link_local();
            prop_assert!(!(known && is_public(IpAddr::V6(six))));
        }
    }
}
