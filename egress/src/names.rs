//! The addresses that names have inside: each name one of each range, at the same place.

use sandboxd_egress_plan::{Fakes, HostName, Network};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

/// Which names have an address, and which.
#[derive(Debug)]
pub struct Names {
    ranges: Vec<Network>,
    most: usize,
    /// The last place that was given.
    last: u32,
    /// No range has a place after this one.
    end: u32,
    places: HashMap<HostName, Entry>,
    names: HashMap<u32, HostName>,
    /// By when they were last asked for, the longest ago first.
    used: BTreeMap<u64, u32>,
    turn: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    place: u32,
    turn: u64,
}

/// What an address inside is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands<'a> {
    /// For this name.
    For(&'a HostName),
    /// For no name, or no longer.
    ForNone,
    /// It is of no range.
    ForItself,
}

impl Names {
    /// No name has an address yet.
    #[must_use]
    pub fn new(fakes: &Fakes) -> Self {
        let end = fakes.ranges.iter().map(|range| last(*range)).min().unwrap_or(0);
        Self {
            ranges: fakes.ranges.clone(),
            most: usize::try_from(fakes.names).unwrap_or(usize::MAX),
            last: 0,
            end,
            places: HashMap::new(),
            names: HashMap::new(),
            used: BTreeMap::new(),
            turn: 0,
        }
    }

    /// The addresses of a name that a rule has; it gets some where it has none. Empty where there is no
    /// room for any name.
    pub fn give(&mut self, name: &HostName) -> Vec<IpAddr> {
        let Some(place) = self.place(name) else { return Vec::new() };
        self.ranges.iter().filter_map(|range| range.nth(place)).collect()
    }

    fn place(&mut self, name: &HostName) -> Option<u32> {
        self.turn += 1;
        if let Some(entry) = self.places.get_mut(name) {
            self.used.remove(&entry.turn);
            entry.turn = self.turn;
            self.used.insert(self.turn, entry.place);
            return Some(entry.place);
        }
        while self.places.len() >= self.most {
            let (_, place) = self.used.pop_first()?;
            if let Some(name) = self.names.remove(&place) {
                self.places.remove(&name);
            }
        }
        let place = self.free()?;
        self.places.insert(name.clone(), Entry { place, turn: self.turn });
        self.names.insert(place, name.clone());
        self.used.insert(self.turn, place);
        Some(place)
    }

    /// The next place that nobody has. They are given in turn, so that one that was given up comes
    /// back as late as can be: a client may have kept it.
    fn free(&mut self) -> Option<u32> {
        for _ in 0..=self.names.len() {
            self.last = if self.last >= self.end { 1 } else { self.last + 1 };
            if self.last <= self.end && !self.names.contains_key(&self.last) {
                return Some(self.last);
            }
        }
        None
    }

    /// What this address stands for.
    #[must_use]
    pub fn stands(&self, address: IpAddr) -> Stands<'_> {
        let Some(range) = self.ranges.iter().find(|range| range.has(address)) else {
            return Stands::ForItself;
        };
        let name = range.place(address).and_then(|place| self.names.get(&place));
        name.map_or(Stands::ForNone, Stands::For)
    }
}

/// The last place of a range.
fn last(range: Network) -> u32 {
    let length = if range.first().is_ipv4() { 32 } else { 128 };
    let free = u32::from(length - range.prefix()).min(32);
    u32::try_from((1_u64 << free) - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::host;
    use proptest::prelude::*;

    fn names(range: &str, most: u32) -> Names {
        let ranges =
            vec![Network::try_from(range).unwrap(), Network::try_from("fd00::/64").unwrap()];
        Names::new(&Fakes { ranges, names: most, ttl: 60 })
    }

    #[test]
    fn a_name_keeps_its_addresses_and_no_other_has_them() {
        let mut names = names("198.18.0.0/15", 16);
        let first = names.give(&host("a.example"));
        assert_eq!(first, ["198.18.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
        assert_ne!(names.give(&host("b.example")), first);
        assert_eq!(names.give(&host("a.example")), first);
        for address in first {
            assert_eq!(names.stands(address), Stands::For(&host("a.example")));
        }
        assert_eq!(names.stands("198.19.0.9".parse().unwrap()), Stands::ForNone);
        assert_eq!(names.stands("fd00::5:0:0:1".parse().unwrap()), Stands::ForNone);
        assert_eq!(names.stands("8.8.8.8".parse().unwrap()), Stands::ForItself);
    }

    #[test]
    fn the_one_not_used_for_longest_makes_room() {
        let mut names = names("198.18.0.0/15", 2);
        let first = names.give(&host("a.example"));
        names.give(&host("b.example"));
        names.give(&host("a.example"));
        names.give(&host("c.example"));
        assert_eq!(names.stands(first[0]), Stands::For(&host("a.example")));
        assert_eq!(names.stands("198.18.0.2".parse().unwrap()), Stands::ForNone, "b made room");
        assert!(super::tests::names("198.18.0.0/15", 0).give(&host("a.example")).is_empty());
    }

    proptest! {
        #[test]
        fn two_names_never_share_an_address(asked in proptest::collection::vec(0_u8..40, 1..300)) {
            let mut names = names("198.18.0.0/28", 14);
            for number in asked {
                let name = host(&format!("n{number}.example"));
                let given = names.give(&name);
                prop_assert_eq!(given.len(), 2);
                for address in given {
                    prop_assert_eq!(names.stands(address), Stands::For(&name));
                }
                prop_assert!(names.places.len() <= 14);
                prop_assert_eq!(names.places.len(), names.names.len());
                prop_assert_eq!(names.places.len(), names.used.len());
            }
        }
    }
}
