//! Which addresses are the public internet, and which of the others a rule names.
//!
//! A name that a rule allows may lead anywhere: its owner decides. So each address that it leads to is
//! looked at before it is connected to, and what is private, the host's own, of one link, of a provider's
//! metadata service, or another spelling of such, is refused unless the rule has a network that is wholly
//! of that range. `0.0.0.0/0` names no private address.
//!
//! Whoever compares two rules asks here too: that one network lies in another does not say that it is let
//! out with it.

use crate::{Network, Rule, Target};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range: its first address, and how many bits all of it share.
type Range = (IpAddr, u8);

const fn four(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Range {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

const fn six(a: u16, b: u16, c: u16, prefix: u8) -> Range {
    (IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), prefix)
}

/// What is not the public internet and may be named.
const SPECIAL: &[Range] = &[
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

/// What no rule can name: nobody, everybody, and a loopback, which has a name of its own.
const NEVER: &[Range] = &[
    four(0, 0, 0, 0, 8),
    four(127, 0, 0, 0, 8),
    // Multicast, and the last sixteenth, which is kept for nothing and ends with everybody.
    four(224, 0, 0, 0, 3),
    // No address of an interface but the loopback, or one of the other family in another spelling.
    six(0, 0, 0, 32),
    six(0xff00, 0, 0, 8),
];

/// Where all public addresses of this family are, as far as they are handed out.
const GLOBAL: &[Range] = &[six(0x2000, 0, 0, 3)];

/// Networks this narrow name what is not handed out to anybody yet: only who writes it exactly means it.
const EXACT: u8 = 16;

/// The one of these ranges that has all of a network.
fn range(ranges: &[Range], network: Network) -> Option<Network> {
    let mut networks =
        ranges.iter().filter_map(|(first, prefix)| Network::new(*first, *prefix).ok());
    networks.find(|range| range.contains(network))
}

fn is_handed_out(network: Network) -> bool {
    network.first().is_ipv4() || range(GLOBAL, network).is_some()
}

/// Whether it is an address of the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    let one = Network::one(address);
    is_handed_out(one) && !is_never(one) && range(SPECIAL, one).is_none()
}

/// Whether no rule can name any of it: nobody, everybody, or a loopback.
#[must_use]
pub fn is_never(network: Network) -> bool {
    range(NEVER, network).is_some()
}

/// Whether it has public addresses, which it leads to whatever else is of it.
#[must_use]
pub fn has_public(network: Network) -> bool {
    let global = || GLOBAL.iter().any(|(first, _)| network.has(*first));
    (is_handed_out(network) || global()) && !is_never(network) && range(SPECIAL, network).is_none()
}

/// Whether it is there to name addresses that are not public.
#[must_use]
pub fn names_others(network: Network) -> bool {
    let unplaced = || network.prefix() >= EXACT && !is_handed_out(network);
    !is_never(network) && (range(SPECIAL, network).is_some() || unplaced())
}

/// Whether this network is there to name this address, which is not public.
fn names(network: Network, address: IpAddr) -> bool {
    let one = Network::one(address);
    network.has(address)
        && !is_never(one)
        && names_others(network)
        && range(SPECIAL, one) == range(SPECIAL, network)
}

/// Whether all that the narrow one leads to the wide one leads to, and not only has in it: `10.0.0.0/8`
/// lies in `0.0.0.0/0`, which leads nobody there. Two of which neither does share nobody.
#[must_use]
pub fn covers(wide: Network, narrow: Network) -> bool {
    wide.contains(narrow)
        && (!names_others(narrow)
            || (names_others(wide) && range(SPECIAL, wide) == range(SPECIAL, narrow)))
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
    match &rule.target {
        Target::Host => address.is_loopback(),
        Target::Network(_) | Target::Name(_) | Target::Below(_) => rule.own.contains(&address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bound, Carries, Deadlines, HostName};
    use alloc::{string::String, vec, vec::Vec};
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> Network {
        Network::try_from(text).unwrap()
    }

    fn rule(target: Target) -> Rule {
        let deadlines = Deadlines { idle: Bound::Unlimited, total: Bound::Unlimited };
        let (written, carries) = (String::new(), Carries::Tcp);
        let (within, own, accounts) = (vec![], vec![], vec![0]);
        Rule { written, target, port: 1, carries, within, own, accounts, deadlines, model: false }
    }

    fn named(name: &str) -> Rule {
        rule(Target::Name(HostName::try_from(name).unwrap()))
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
            assert!(!allows(&named("a.example"), address(text)), "{text}");
        }
        for text in
            ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00:1450::1"]
        {
            assert!(is_public(address(text)), "{text}");
            assert!(allows(&named("a.example"), address(text)), "{text}");
        }
    }

    #[test]
    fn a_wide_network_names_nothing_private_and_a_narrow_one_only_its_own() {
        let to = |text| rule(Target::Network(network(text)));
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
        let mut db = named("db.internal");
        db.within = vec![network("10.0.0.0/24")];
        assert!(allows(&db, address("10.0.0.5")) && allows(&db, address("8.8.8.8")));
        assert!(!allows(&db, address("10.0.1.5")) && !allows(&db, address("127.0.0.1")));
        let host = rule(Target::Host);
        assert!(allows(&host, address("127.0.0.1")) && allows(&host, address("::1")));
        assert!(!allows(&host, address("10.0.0.1")) && !allows(&host, address("8.8.8.8")));
        assert!(means(&host, address("127.0.0.1")) && !means(&db, address("10.0.0.5")));
        db.own.push(address("10.0.0.5"));
        assert!(means(&db, address("10.0.0.5")) && !means(&db, address("10.0.0.6")));
    }

    const NETWORKS: &[&str] = &[
        "0.0.0.0/0",
        "8.0.0.0/6",
        "10.0.0.0/8",
        "10.0.0.1/32",
        "8.8.8.0/24",
        "127.0.0.0/8",
        "126.0.0.0/7",
        "169.254.169.254/32",
        "198.0.0.0/8",
        "224.0.0.0/4",
        "::/0",
        "::/1",
        "2000::/3",
        "2001::/16",
        "2001:db8::/32",
        "2606::/16",
        "64::/16",
        "64:ff9b::/32",
        "64:ff9b::/96",
        "fc00::/6",
        "fd00::/8",
        "4000::/2",
        "4000::/16",
        "4000::/32",
        "ff00::/8",
    ];

    #[test]
    fn one_network_covers_another_where_it_leads_to_all_that_the_other_leads_to() {
        let known: Vec<IpAddr> = PRIVATE
            .iter()
            .copied()
            .chain([
                "8.8.8.8",
                "126.0.0.1",
                "2001:4860::1",
                "2606:4700::1",
                "64:1::1",
                "64:ff9b:2::1",
                "4000::1",
            ])
            .chain(NETWORKS.iter().filter_map(|text| text.split('/').next()))
            .map(address)
            .collect();
        let leads = |text: &str, to| allows(&rule(Target::Network(network(text))), to);
        for wide in NETWORKS {
            let somebody = known.iter().any(|to| leads(wide, *to));
            let (public, others) = (has_public(network(wide)), names_others(network(wide)));
            assert_eq!(public || others, somebody, "{wide}");
            for narrow in NETWORKS {
                if !network(wide).contains(network(narrow)) {
                    assert!(!covers(network(wide), network(narrow)), "{wide} {narrow}");
                    continue;
                }
                let all = known.iter().all(|to| !leads(narrow, *to) || leads(wide, *to));
                assert_eq!(covers(network(wide), network(narrow)), all, "{wide} {narrow}");
                // What the meet of rules is built on.
                let both = known.iter().any(|to| leads(narrow, *to) && leads(wide, *to));
                assert!(all || !both, "{wide} {narrow}");
            }
        }
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
