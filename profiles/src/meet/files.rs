//! Files: areas of the host, by path, and holes in them.

use crate::schema::Access;
use sandboxd_plan::HostPath;
use std::collections::{BTreeMap, BTreeSet};

/// What may be done in an area beyond reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) write: bool,
    pub(crate) execute: bool,
    /// It is a socket, named as such.
    pub(crate) socket: bool,
}

impl Rights {
    /// What an entry of a profile lets be done.
    pub(crate) fn of(access: Access) -> Self {
        Self { write: access == Access::Write, execute: access == Access::Execute, socket: false }
    }

    /// Whether an entry inside a tree with these rights that asks for those changes nothing. Only whether it may be
    /// written is decided anew: an entry that does not say so inside one that does takes writing away, and one that
    /// does inside one that does not is written and not executed. Any other adds to what it lies in.
    pub(crate) fn includes(self, part: Self) -> bool {
        self.write == part.write && (self.execute || !part.execute)
    }

    fn meet(self, other: Self) -> Self {
        Self {
            write: self.write && other.write,
            execute: self.execute && other.execute,
            socket: self.socket && other.socket,
        }
    }

    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            write: self.write || other.write,
            execute: self.execute || other.execute,
            socket: self.socket || other.socket,
        }
    }
}

/// What may be done with the host's files. The innermost area that a path lies in decides; where
/// there is none, or a hole, nothing may be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    areas: BTreeMap<HostPath, Rights>,
    holes: BTreeSet<HostPath>,
}

impl Files {
    /// An area; shown twice, it may be used in both ways.
    pub(crate) fn add(&mut self, area: HostPath, rights: Rights) {
        let known = self.areas.entry(area).or_insert(rights);
        *known = known.join(rights);
    }

    /// A hole.
    pub(crate) fn hide(&mut self, hole: HostPath) {
        self.holes.insert(hole);
    }

    /// What may be done with a path; nothing where it may not even be read.
    pub(crate) fn at(&self, path: &HostPath) -> Option<Rights> {
        if self.holes.iter().any(|hole| path.is_within(hole)) {
            return None;
        }
        let around = self.areas.iter().filter(|(area, _)| path.is_within(area));
        let (area, rights) = around.max_by_key(|(area, _)| area.as_str().len())?;
        Some(Rights { socket: rights.socket && area == path, ..*rights })
    }

    /// What both allow. Of two areas the deeper one counts, where the other allows it at all: no area
    /// of either begins between it and what lies in it, so that what both say there is what both say
    /// here.
    pub(crate) fn meet(&self, other: &Self) -> Self {
        let holes = self.holes.union(&other.holes).cloned().collect();
        let both = |area: &HostPath| Some(self.at(area)?.meet(other.at(area)?));
        let areas = self.areas.keys().chain(other.areas.keys());
        let areas = areas.filter_map(|area| Some((area.clone(), both(area)?))).collect();
        Self { areas, holes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> HostPath {
        HostPath::try_from(text).unwrap()
    }

    /// Paths of few names, some the beginning of another, so that most pairs have to do with each
    /// other.
    fn paths() -> impl Strategy<Value = HostPath> {
        prop::collection::vec(prop::sample::select(vec!["a", "ab", "b"]), 1..4)
            .prop_map(|names| path(&format!("/{}", names.join("/"))))
    }

    fn rights() -> impl Strategy<Value = Rights> {
        any::<[bool; 2]>().prop_map(|[write, execute]| Rights { write, execute, socket: false })
    }

    fn files() -> impl Strategy<Value = Files> {
        let areas = prop::collection::vec((paths(), rights()), 0..5);
        let holes = prop::collection::vec(paths(), 0..2);
        (areas, holes).prop_map(|(areas, holes)| {
            let mut files = Files::default();
            areas.into_iter().for_each(|(area, rights)| files.add(area, rights));
            holes.into_iter().for_each(|hole| files.hide(hole));
            files
        })
    }

    fn within(less: &Files, more: &Files, at: &HostPath) -> bool {
        match (less.at(at), more.at(at)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(less), Some(more)) => less.meet(more) == less,
        }
    }

    proptest! {
        #[test]
        fn the_meet_allows_exactly_what_both_allow(a in files(), b in files(), at in paths()) {
            let both = a.at(&at).zip(b.at(&at)).map(|(a, b)| a.meet(b));
            prop_assert_eq!(a.meet(&b).at(&at), both);
        }

        #[test]
        fn neither_order_nor_grouping_nor_repetition_matters(
            a in files(), b in files(), c in files(), at in paths()
        ) {
            prop_assert_eq!(a.meet(&b), b.meet(&a));
            prop_assert_eq!(a.meet(&b).meet(&c).at(&at), a.meet(&b.meet(&c)).at(&at));
            prop_assert_eq!(a.meet(&a).at(&at), a.at(&at));
        }

        #[test]
        fn the_meet_is_within_both_and_keeps_the_order(
            a in files(), b in files(), c in files(), at in paths()
        ) {
            prop_assert!(within(&a.meet(&b), &a, &at));
            prop_assert!(within(&a.meet(&b).meet(&c), &a.meet(&c), &at));
        }
    }

    #[test]
    fn a_name_that_begins_like_another_is_another() {
        let all = Rights { write: true, execute: true, socket: false };
        let (mut a, mut b) = (Files::default(), Files::default());
        a.add(path("/srv/a"), all);
        b.add(path("/srv/ab"), all);
        assert_eq!(a.meet(&b), Files::default());
        b.add(path("/srv"), all);
        assert_eq!(a.meet(&b).areas.into_keys().collect::<Vec<_>>(), [path("/srv/a")]);
    }
}
