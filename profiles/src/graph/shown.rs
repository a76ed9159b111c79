//! What a profile shows of the host's files, and where: the view that [`resolve`](crate::resolve()) makes,
//! without a look at the host.

use super::trees::Trees;
use crate::meet::files::Rights;
use crate::schema::Access;
use sandboxd_plan::HostPath;
use std::collections::BTreeMap;

/// A tree of the host's, and where it is inside.
struct Tree {
    from: HostPath,
    to: HostPath,
    rights: Rights,
}

impl Tree {
    /// The host's name of a place in it.
    fn host(&self, place: &HostPath) -> Option<HostPath> {
        match place.below(&self.to)? {
            "" => Some(self.from.clone()),
            below => self.from.join(below).ok(),
        }
    }
}

/// All of them, outer ones first.
#[derive(Default)]
pub(super) struct Shown(Vec<Tree>);

impl Shown {
    /// What these entries show: from where, at which place, and what for. An entry that says no more than the one
    /// around it changes nothing; any other decides alone.
    pub(super) fn of(entries: impl Iterator<Item = (HostPath, HostPath, Access)>) -> Self {
        let mut places: BTreeMap<(HostPath, HostPath), Rights> = BTreeMap::new();
        for (from, to, access) in entries {
            let rights = Rights::of(access);
            let known = places.entry((to, from)).or_insert(rights);
            *known = known.join(rights);
        }
        let mut shown = Self::default();
        for ((to, from), rights) in places {
            let around = shown.around(&to);
            let says_nothing = around.is_some_and(|around| {
                around.host(&to).as_ref() == Some(&from) && around.rights.includes(rights)
            });
            if !says_nothing {
                shown.0.push(Tree { from, to, rights });
            }
        }
        shown
    }

    /// The tree that a place comes from: the innermost one.
    fn around(&self, place: &HostPath) -> Option<&Tree> {
        let around = self.0.iter().filter(|tree| place.is_within(&tree.to));
        around.max_by_key(|tree| tree.to.as_str().len())
    }

    /// The host's name of a place inside.
    pub(super) fn host(&self, place: &HostPath) -> Option<HostPath> {
        self.around(place)?.host(place)
    }

    /// The files of the host that can be used in a way at any place: all of a tree but what others are shown over.
    pub(super) fn used(&self, way: impl Fn(Rights) -> bool) -> Trees {
        let parts = self.0.iter().map(|tree| {
            let mut part = Trees::default();
            part.mark(tree.from.clone(), way(tree.rights));
            let over = self.0.iter().filter(|over| over.to != tree.to);
            for place in over.filter_map(|over| tree.host(&over.to)) {
                part.mark(place, false);
            }
            part
        });
        Trees::any(&parts.collect::<Vec<_>>())
    }

    /// The files of the host that what is run under the profile may use in a way, wherever it shows them: the
    /// innermost tree of the host's decides.
    pub(super) fn lent(&self, way: impl Fn(Rights) -> bool) -> Trees {
        let mut trees: BTreeMap<&HostPath, Rights> = BTreeMap::new();
        for Tree { from, rights, .. } in &self.0 {
            let known = trees.entry(from).or_insert(*rights);
            *known = known.join(*rights);
        }
        let mut lent = Trees::default();
        for (from, rights) in trees {
            lent.mark(from.clone(), way(rights));
        }
        lent.plain()
    }
}
