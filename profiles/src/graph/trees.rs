//! Sets of paths: trees, and what is left out of them, at any depth.
//!
//! A set is a number of marks; the deepest mark above a path decides. So the meet of two sets is exact:
//! it has the marks of both, each with the answer that both give there.

use sandboxd_plan::HostPath;
use std::collections::BTreeMap;

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trees(BTreeMap<HostPath, bool>);

impl Trees {
    /// Put a tree in, or take it out; what is marked below it stays as it is.
    pub(super) fn mark(&mut self, path: HostPath, is_in: bool) {
        self.0.insert(path, is_in);
    }

    /// Take a tree out, with all that is marked below it.
    pub(super) fn hide(&mut self, path: HostPath) {
        self.0.retain(|known, _| !known.is_within(&path));
        self.0.insert(path, false);
    }

    /// Whether a path is in it.
    pub(super) fn has(&self, path: &HostPath) -> bool {
        self.around(path).is_some()
    }

    /// The tree of it that a path lies in.
    pub(super) fn around(&self, path: &HostPath) -> Option<&HostPath> {
        let above = self.0.iter().filter(|(mark, _)| path.is_within(mark));
        let (mark, is_in) = above.max_by_key(|(mark, _)| mark.as_str().len())?;
        is_in.then_some(mark)
    }

    /// What is in any of them.
    pub(super) fn any(sets: &[Self]) -> Self {
        let marks = sets.iter().flat_map(|set| set.0.keys());
        let any = marks.map(|mark| (mark.clone(), sets.iter().any(|set| set.has(mark))));
        Self(any.collect()).plain()
    }

    /// What is in both.
    pub(super) fn meet(&self, other: &Self) -> Self {
        let marks = self.0.keys().chain(other.0.keys());
        let both = marks.map(|mark| (mark.clone(), self.has(mark) && other.has(mark)));
        Self(both.collect()).plain()
    }

    /// The same set without marks that change nothing.
    pub(super) fn plain(mut self) -> Self {
        let marks: Vec<HostPath> = self.0.keys().cloned().collect();
        // Deeper ones first: what is above them says whether they are needed.
        for mark in marks.into_iter().rev() {
            let Some(is_in) = self.0.remove(&mark) else { continue };
            if self.has(&mark) != is_in {
                self.0.insert(mark, is_in);
            }
        }
        self
    }

    /// The trees of this set that are not in the other, by their tops.
    pub(super) fn beyond(&self, other: &Self) -> Vec<HostPath> {
        let mut beyond = Self::default();
        for mark in self.0.keys().chain(other.0.keys()) {
            beyond.0.insert(mark.clone(), self.has(mark) && !other.has(mark));
        }
        beyond.plain().tops().cloned().collect()
    }

    /// The trees, deepest exceptions aside.
    pub(super) fn tops(&self) -> impl Iterator<Item = &HostPath> {
        self.0.iter().filter(|(_, is_in)| **is_in).map(|(path, _)| path)
    }

    /// What is left out of them.
    pub(super) fn holes(&self) -> impl Iterator<Item = &HostPath> {
        self.0.iter().filter(|(_, is_in)| !**is_in).map(|(path, _)| path)
    }

    /// The trees at or below a path that are in it.
    pub(super) fn below(&self, path: &HostPath) -> Vec<&HostPath> {
        self.tops().filter(|top| top.is_within(path) && *top != path).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tops().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> HostPath {
        HostPath::try_from(text).unwrap()
    }

    const PATHS: [&str; 8] = ["/", "/a", "/ab", "/a/b", "/a/b/c", "/a/c", "/d", "/d/e/f"];

    /// Every set of at most two marks out of a few paths, and some of three.
    fn sets() -> Vec<Trees> {
        let mut sets = vec![Trees::default()];
        for (first, one) in PATHS.iter().enumerate() {
            for (second, two) in PATHS.iter().enumerate() {
                for answers in 0..4 {
                    let third = PATHS[(first * 3 + second * 5 + 1) % PATHS.len()];
                    let mut trees = Trees::default();
                    trees.mark(path(third), first % 2 == 0);
                    trees.mark(path(one), answers & 1 == 0);
                    trees.mark(path(two), answers & 2 == 0);
                    sets.push(trees);
                }
            }
        }
        sets
    }

    #[test]
    fn a_meet_has_what_both_have_and_a_union_what_any_has() {
        let sets = sets();
        let deeper = PATHS.iter().map(|text| path(&format!("{}/x", text.trim_end_matches('/'))));
        let probes: Vec<HostPath> = PATHS.iter().map(|text| path(text)).chain(deeper).collect();
        for one in &sets {
            for other in &sets {
                let both = one.meet(other);
                assert_eq!(both, other.meet(one));
                let any = Trees::any(&[one.clone(), other.clone()]);
                let beyond = one.beyond(other);
                for probe in &probes {
                    let wanted = one.has(probe) && other.has(probe);
                    assert_eq!(both.has(probe), wanted, "{probe} in {one:?} and {other:?}");
                    assert_eq!(any.has(probe), one.has(probe) || other.has(probe), "{probe}");
                    if one.has(probe) && !other.has(probe) {
                        assert!(beyond.iter().any(|top| probe.is_within(top)), "{probe}");
                    }
                }
            }
            assert_eq!(one.meet(one), one.clone().plain());
        }
    }
}
