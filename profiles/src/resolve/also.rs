//! What the host has mounted twice: a tree shows what is known by other names, too, and what is said of those holds
//! of it.

use super::Deciding;
use super::trees::{Shown, Tree};
use sandboxd_plan::{HostPath, JailPath};

impl Tree {
    /// The host's names in this tree of what is at a path.
    pub(super) fn names(&self, path: &HostPath) -> Vec<HostPath> {
        let own = path.is_within(&self.from).then(|| path.clone());
        own.into_iter().chain(self.by_mounts(path)).collect()
    }

    /// Those that it has by another mount alone.
    fn by_mounts(&self, path: &HostPath) -> impl Iterator<Item = HostPath> {
        self.also.iter().filter_map(|also| match path.below(&also.at)? {
            "" => Some(also.inside.clone()),
            below => also.inside.join(below).ok(),
        })
    }

    /// Where inside a path of the host in this tree is.
    pub(super) fn place(&self, host: &HostPath) -> Option<JailPath> {
        match host.below(&self.from)? {
            "" => Some(self.to.clone()),
            below => self.to.join(below).ok(),
        }
    }
}

impl Shown {
    /// The tree by which what is at a path may be written because it is mounted twice.
    pub(super) fn written_by_mount(&self, path: &HostPath) -> Option<(&Tree, HostPath)> {
        self.trees.iter().filter(|tree| tree.write).find_map(|tree| {
            let in_part = tree.also.iter().filter(|also| also.at.is_within(path));
            let names = tree.by_mounts(path).chain(in_part.map(|also| also.inside.clone()));
            let written = |name: &HostPath| {
                let place = tree.place(name);
                place.and_then(|place| self.around(&place)).is_some_and(|around| around.write)
            };
            Some((tree, names.into_iter().find(written)?))
        })
    }
}

impl Deciding<'_> {
    /// What is shown to be read is not written by another name of it.
    pub(super) fn reads_stay_reads(&mut self, shown: &Shown) {
        for read in shown.trees.iter().filter(|tree| !tree.write) {
            let Some((_, name)) = shown.written_by_mount(&read.from) else { continue };
            let what = format!(
                "{} is read-only, but may be written as {name}: the host has mounted it twice",
                read.from
            );
            let remedy = "unmount one of them, or put both into files.read or into files.write";
            self.refuse(&read.origin, what, remedy);
        }
    }
}
