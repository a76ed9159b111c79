//! Holes in what is shown (`files.hide`): where each is, and what keeps one from hiding anything.

use super::Deciding;
use super::trees::{Shown, Tree};
use crate::host::{FileKind, Found, PathFact, ShownBy};
use crate::origin::Origin;
use crate::schema::Hole;
use sandboxd_plan::{HostPath, JailPath, Kind};
use std::iter;

/// A hole.
#[derive(Debug, Clone)]
pub(super) struct Punched {
    /// On the host, and where else its mounts show it or something in it.
    pub(super) hosts: Vec<(HostPath, Kind)>,
    /// Inside.
    pub(super) place: JailPath,
    pub(super) kind: Kind,
    pub(super) origin: Origin,
}

impl Punched {
    /// The same hole wherever it is shown: a folder may be shown at several places, and be mounted at several on
    /// the host.
    pub(super) fn everywhere(&self, shown: &Shown) -> Vec<Self> {
        let places = self.hosts.iter().flat_map(|(host, kind)| {
            shown.trees.iter().filter_map(move |tree| {
                let below = host.below(&tree.from).filter(|below| !below.is_empty())?;
                let place = tree.to.join(below).ok()?;
                // Another tree may be shown over it.
                let on_top = shown.around(&place).is_some_and(|around| around.to == tree.to);
                on_top.then_some((place, *kind))
            })
        });
        places.map(|(place, kind)| Self { place, kind, ..self.clone() }).collect()
    }

    /// Whether there is nothing of a tree beside it.
    fn covers(&self, tree: &Tree) -> bool {
        self.hosts.iter().any(|(host, _)| tree.from.is_within(host))
    }
}

impl Deciding<'_> {
    /// The holes of `files.hide`, in what is shown.
    pub(super) fn punched(&mut self, shown: &Shown) -> Vec<Punched> {
        if self.is_bare() {
            return Vec::new();
        }
        let profile = self.profile;
        let written: Vec<Punched> =
            profile.files.hide.iter().filter_map(|hole| self.punch(hole, shown)).collect();
        let holes: Vec<Punched> = written.iter().flat_map(|hole| hole.everywhere(shown)).collect();
        for tree in &shown.trees {
            let over = |hole: &Punched| tree.to.is_within(&hole.place);
            if written.iter().any(|hole| hole.covers(tree)) || holes.iter().any(over) {
                let what = format!("{} is in a path that files.hide covers", tree.to);
                self.refuse(&tree.origin, what, "remove one of the two");
            }
        }
        holes
    }

    fn punch(&mut self, hole: &Hole, shown: &Shown) -> Option<Punched> {
        let origin = &hole.path.origin;
        let path = self.folder(&hole.path)?;
        let (tree, inside, found) = self.hole(&path, hole, shown)?;
        if inside == tree.to {
            self.refuse(origin, format!("{path} is itself granted"), "remove the grant instead");
            return None;
        }
        if found.kind == FileKind::Regular && found.links_count > 1 {
            self.refuse(
                origin,
                format!(
                    "{path} has {} names (hard links), and the others would show it",
                    found.links_count
                ),
                "replace it with a copy: cp -p FILE FILE.new && mv FILE.new FILE",
            );
            return None;
        }
        if let Some(shown_by) = &found.shown_by {
            self.refuse_shown(&path, shown_by, origin);
            return None;
        }
        let kind = kind_of(found.kind);
        let elsewhere = found.elsewhere.into_iter().map(|place| (place.path, kind_of(place.kind)));
        let hosts = iter::once((tree.host(&inside)?, kind)).chain(elsewhere).collect();
        Some(Punched { hosts, place: inside, kind, origin: origin.clone() })
    }

    fn refuse_shown(&mut self, path: &HostPath, shown_by: &ShownBy, origin: &Origin) {
        let (what, remedy) = match shown_by {
            ShownBy::Name(file) => (
                format!(
                    "{path}/{file} has a name outside of {path} (a hard link), which would show it"
                ),
                "replace it with a copy: cp -p FILE FILE.new && mv FILE.new FILE; if there are many, replace the folder with a copy (cp -a)",
            ),
            ShownBy::Unsearched => (
                format!(
                    "{path} has too many entries to search in time for files with other names (hard links)"
                ),
                "hide a smaller folder, or try again if the disk was only slow",
            ),
        };
        self.refuse(origin, what, remedy);
    }

    /// The tree a hole lies in, its place inside, and what is there.
    fn hole<'s>(
        &mut self,
        path: &HostPath,
        hole: &Hole,
        shown: &'s Shown,
    ) -> Option<(&'s Tree, JailPath, Found)> {
        let origin = &hole.path.origin;
        let named = super::jail(path)?;
        let around = shown.around(&named).and_then(|tree| Some((tree, tree.host(&named)?)));
        let host = around.as_ref().map_or(path, |(_, host)| host);
        let found = match self.host.paths.get(host) {
            Some(PathFact::Found(found)) => found.clone(),
            Some(PathFact::Failed(errno)) => {
                let what = format!("{path} cannot be examined (errno {errno})");
                self.refuse(origin, what, "make it readable to the user who runs sandboxd");
                return None;
            }
            Some(PathFact::Missing) | None if hole.optional => return None,
            Some(PathFact::Missing) if around.is_some() => {
                self.refuse(
                    origin,
                    format!("{path} does not exist, and what is created there could be read"),
                    "create it, or write { path = \"…\", optional = true }",
                );
                return None;
            }
            Some(PathFact::Missing) | None => {
                self.refuse(origin, format!("{path} is not in a granted folder"), "remove it");
                return None;
            }
        };
        if !self.trusted(path, &found, origin) {
            return None;
        }
        let same = around.filter(|(_, host)| *host == found.real);
        let place = match same {
            Some((tree, _)) => Some((tree, named)),
            // The way there leads through links of the system: the tree has the real name.
            None => super::jail(&found.real).and_then(|real| {
                let tree = shown.around(&real)?;
                (tree.host(&real)? == found.real).then_some((tree, real))
            }),
        };
        let Some((tree, inside)) = place else {
            self.refuse(origin, format!("{path} is not in a granted folder"), "remove it");
            return None;
        };
        Some((tree, inside, found))
    }
}

/// What covers it.
fn kind_of(kind: FileKind) -> Kind {
    if kind == FileKind::Directory { Kind::Directory } else { Kind::File }
}
