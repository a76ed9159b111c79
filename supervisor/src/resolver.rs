//! How this host resolves names: what root wrote into `/etc/resolv.conf` (resolv.conf(5)) and
//! `/etc/hosts` (hosts(5)). Whoever is let out to a name is led where the host would be.

use crate::explain::{errno, printable};
use sandboxd_egress_plan::{HostName, Known};
use sandboxd_profiles::host::{ResolverFacts, Unread};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

/// Where DNS servers listen.
const PORT: u16 = 53;
/// As many as the resolver of glibc asks, `MAXNS` of resolv.h.
const MOST: usize = 3;

/// Looks. A file that is not there says nothing; one that cannot be read may say anything.
pub(crate) fn look() -> ResolverFacts {
    look_at("/etc/hosts", "/etc/resolv.conf")
}

fn look_at(hosts: &str, resolv: &str) -> ResolverFacts {
    let mut unread = Vec::new();
    let mut text = |path: &str| match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => {
            let why = error.raw_os_error().map_or_else(|| printable(&error.to_string()), errno);
            unread.push(Unread { path: path.to_owned(), why });
            String::new()
        }
    };
    let (hosts, resolv) = (text(hosts), text(resolv));
    ResolverFacts { hosts: hosts_of(&hosts), servers: servers_of(&resolv), unread }
}

/// The words of each line, up to what is said about it.
fn lines<'t>(text: &'t str, comments: &'static [char]) -> impl Iterator<Item = Vec<&'t str>> {
    text.lines().map(move |line| {
        let said = line.split(comments).next().unwrap_or_default();
        said.split_ascii_whitespace().collect()
    })
}

fn servers_of(text: &str) -> Vec<SocketAddr> {
    let servers = lines(text, &['#', ';']).filter_map(|words| match words.as_slice() {
        // One of a single link, fe80::1%eth0, is not among them: it means nothing without the link.
        ["nameserver", address, ..] => address.parse::<IpAddr>().ok(),
        _ => None,
    });
    servers.map(|address| SocketAddr::new(address, PORT)).take(MOST).collect()
}

fn hosts_of(text: &str) -> Vec<Known> {
    let mut hosts: Vec<Known> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for words in lines(text, &['#']) {
        let Some((address, names)) = words.split_first() else { continue };
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        for name in names.iter().filter_map(|name| HostName::read(name.as_bytes()).ok()) {
            let place = *places.entry(name.clone()).or_insert_with(|| {
                hosts.push(Known { name, addresses: Vec::new() });
                hosts.len() - 1
            });
            if let Some(known) = hosts.get_mut(place) {
                known.addresses.push(address);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_not_an_empty_one() {
        assert_eq!(look_at("/nonexistent", "/nonexistent"), ResolverFacts::default());
        let found = look_at("/nonexistent", "/proc/self");
        let told: Vec<_> = found.unread.iter().map(|one| (&*one.path, &*one.why)).collect();
        assert_eq!(told, [("/proc/self", "is a directory (EISDIR)")]);
    }

    #[test]
    fn servers_are_those_that_glibc_would_ask() {
        let text = "# none\nsearch example.com\nnameserver 192.0.2.1 # first\n\tnameserver\t2001:db8::1\n\
                    ;nameserver 192.0.2.9\nnameserver fe80::1%eth0\nnameserver x\nnameserver 127.0.0.53\n\
                    nameserver 192.0.2.4\noptions ndots:5";
        let found: Vec<String> = servers_of(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53", "127.0.0.53:53"]);
    }

    #[test]
    fn hosts_have_all_addresses_of_a_name() {
        let text = "127.0.0.1 localhost\n10.0.0.5 db.internal DB # the\nfd00::5 db.internal\n\
                    10.0.0.6 -wrong- ok.internal\nnot an address\n";
        let found: Vec<(String, usize)> = hosts_of(text)
            .iter()
            .map(|known| (known.name.to_string(), known.addresses.len()))
            .collect();
        let wanted = [("localhost", 1), ("db.internal", 2), ("db", 1), ("ok.internal", 1)];
        assert_eq!(found, wanted.map(|(name, count)| (name.to_owned(), count)));
    }
}
