//! The data has nothing twice, nothing contradictory, and nothing that changes no verdict.

use super::super::{
    Verdict, bases, compose,
    data::Answer,
    groups, name,
    table::{BASES, CHECKS, GROUPS, INIT, NUMBERS},
    verdict,
};
use super::{
    everything,
    samples::{Random, arguments, refuses},
};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn no_call_is_allowed_by_two_groups_or_refused_by_two() {
    for allows in [true, false] {
        let mut seen = BTreeMap::new();
        for group in GROUPS.iter().filter(|group| (group.answer == Answer::Allow) == allows) {
            for call in group.lines.iter().flat_map(|line| line.calls) {
                if let Some(before) = seen.insert(*call, group.name) {
                    panic!("{:?} is in {before} and in {}", name(*call), group.name);
                }
            }
        }
    }
    let init: Vec<u32> = INIT.lines.iter().flat_map(|line| line.calls).copied().collect();
    assert_eq!(init.len(), init.iter().collect::<BTreeSet<_>>().len());
}

#[test]
fn no_base_allows_what_a_group_refuses() {
    let refused: BTreeSet<u32> = GROUPS
        .iter()
        .filter(|group| group.answer != Answer::Allow)
        .flat_map(|group| group.lines)
        .flat_map(|line| line.calls.iter().copied())
        .collect();
    for base in BASES {
        for group in compose::groups_of(base) {
            for call in group.lines.iter().flat_map(|line| line.calls) {
                assert!(!refused.contains(call), "{:?} in {}", name(*call), base.name);
            }
        }
    }
}

#[test]
fn every_group_of_a_base_exists_once_and_allows() {
    for base in BASES {
        assert_eq!(compose::groups_of(base).count(), base.groups.len(), "{}", base.name);
        assert_eq!(base.groups.iter().collect::<BTreeSet<_>>().len(), base.groups.len());
        assert!(compose::groups_of(base).all(|group| group.answer == Answer::Allow));
        assert!(base.groups.contains(&"start"), "{} can start nothing", base.name);
    }
}

#[test]
fn every_known_call_is_in_a_group_with_a_reason() {
    let grouped: BTreeSet<u32> = groups()
        .iter()
        .flat_map(|group| group.lines)
        .flat_map(|line| line.calls.to_vec())
        .collect();
    for (number, name) in NUMBERS {
        assert!(grouped.contains(number), "nobody decided about {name}");
    }
    for line in groups().iter().flat_map(|group| group.lines).chain(INIT.lines) {
        assert!(line.reason.len() > 5, "{:?} has no reason", line.calls);
    }
}

#[test]
fn every_base_differs_from_every_other() {
    let of = |base: &str| -> Vec<Verdict> {
        let rules = super::plain(base, super::Sockets::Inet);
        NUMBERS.iter().map(|(number, _)| verdict(&rules, *number).unwrap()).collect()
    };
    let all: Vec<Vec<Verdict>> = bases().map(|(base, _)| of(base)).collect();
    for (place, one) in all.iter().enumerate() {
        assert!(!all[..place].contains(one));
    }
}

#[test]
fn without_any_check_something_is_answered_otherwise() {
    let mut needed = BTreeSet::new();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for rules in everything() {
        for (number, _) in NUMBERS {
            let verdict = verdict(&rules, *number).unwrap();
            let Verdict::Conditional(checks) = &verdict else { continue };
            for arguments in (0..8).flat_map(|_| arguments(&verdict, &mut random)) {
                let mut refusing = checks.iter().filter(|check| refuses(check, &arguments));
                let Some(first) = refusing.next() else { continue };
                if refusing.next().is_none_or(|next| next.errno != first.errno) {
                    let place = CHECKS.iter().position(|check| check == *first).unwrap();
                    needed.insert((place, *number));
                }
            }
        }
    }
    for (place, check) in CHECKS.iter().enumerate() {
        for call in check.calls {
            assert!(needed.contains(&(place, *call)), "{check} is redundant for {:?}", name(*call));
        }
    }
}
