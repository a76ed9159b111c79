//! What covers holes in what is shown, and what stays read-only in what may be written.
//!
//! A mount point can be neither renamed nor removed, but the folders above it can: so every folder
//! between the writable tree and a covered path is made a mount point as well (`mv .git
//! .gitold; mkdir .git` otherwise gets around a read-only `.git/hooks`).

use super::Deciding;
use super::holes::Punched;
use super::trees::{Shown, Tree};
use crate::host::{AuditFact, Blind, ProtectedFact, ProtectedKind};
use crate::origin::Origin;
use crate::protect;
use crate::resolved::Watched;
use crate::schema::Protect;
use sandboxd_plan::{HostPath, JailPath, Kind, Mount, RootOp};
use std::collections::{BTreeMap, BTreeSet};

/// The Landlock ABI that has `LANDLOCK_ACCESS_FS_RESOLVE_UNIX`.
const RESOLVE_UNIX: u32 = 9;

/// Bytes of holds in a plan before it is refused: of the megabyte that it may have, the rest takes a tenth.
const MOST_BYTES: usize = 3 << 18;

/// What is done to one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Covered.
    Hide(Kind),
    /// Read-only, and cannot be moved.
    Keep(Kind, Mount),
    /// A folder above one of the two, as writable as its tree.
    Parent(Mount),
}

impl Hold {
    const fn op(self, path: JailPath) -> RootOp {
        match self {
            Self::Hide(kind) => RootOp::Hide { path, kind },
            Self::Keep(kind, mount) => RootOp::Hold { path, kind, mount },
            Self::Parent(mount) => RootOp::Hold { path, kind: Kind::Directory, mount },
        }
    }
}

/// Everything that is held.
#[derive(Debug, Default)]
pub(super) struct Holds {
    paths: BTreeMap<JailPath, Hold>,
    /// Bytes that they take in a plan at most: what is taken out again is not subtracted.
    bytes: usize,
    /// For the supervisor to look through after the run.
    pub(super) watched: Vec<Watched>,
}

impl Holds {
    /// The steps, by path.
    pub(super) fn ops(&self) -> impl Iterator<Item = (&JailPath, RootOp)> {
        self.paths.iter().map(|(path, hold)| (path, hold.op(path.clone())))
    }

    /// Holds a path, whatever was to be done to it before.
    fn insert(&mut self, path: JailPath, hold: Hold) {
        self.bytes += serde_json::to_vec(&hold.op(path.clone())).map_or(0, |op| op.len() + 1);
        self.paths.insert(path, hold);
    }

    /// Keeps a path of a tree as it is, with the tree's folders in it.
    fn keep(&mut self, (shown, tree): (&Shown, &Tree), path: JailPath, kind: Kind) {
        // A hook that was there still runs, inside.
        let mount = Mount { read_only: true, ..tree.mount() };
        let own = |held: &JailPath| shown.around(held).is_some_and(|around| around.to == tree.to);
        let parent_in = |held: &JailPath, hold: &Hold| {
            matches!(hold, Hold::Parent(_)) && held.is_within(&path) && own(held)
        };
        self.paths.retain(|held, hold| !parent_in(held, hold));
        self.insert(path, Hold::Keep(kind, mount));
    }

    /// Whether a path is covered.
    pub(super) fn hides(&self, path: &JailPath) -> bool {
        self.paths.iter().any(|(held, hold)| matches!(hold, Hold::Hide(_)) && path.is_within(held))
    }

    /// Whether it is kept with something of its own tree: a tree that is shown in what is kept may be written.
    fn keeps(&self, tree: &Tree, path: &JailPath) -> bool {
        let around = |held: &JailPath| held.is_within(&tree.to) && path.is_within(held);
        self.paths.iter().any(|(held, hold)| matches!(hold, Hold::Keep(..)) && around(held))
    }

    /// In what is covered there is nothing left to hold.
    fn drop_covered(&mut self) {
        let holes = self.paths.iter().filter(|(_, hold)| matches!(hold, Hold::Hide(_)));
        let holes: Vec<JailPath> = holes.map(|(path, _)| path.clone()).collect();
        let in_one =
            |path: &JailPath| holes.iter().any(|hole| path != hole && path.is_within(hole));
        self.paths.retain(|path, _| !in_one(path));
    }

    /// Hold every folder between a tree and a path in it. In what is kept none can be moved, and none may be written.
    fn parents(&mut self, tree: &Tree, path: &JailPath) {
        if self.keeps(tree, path) {
            return;
        }
        let mut at = path.parent();
        while let Some(parent) =
            at.filter(|parent| *parent != tree.to && parent.is_within(&tree.to))
        {
            if self.paths.contains_key(&parent) {
                return;
            }
            at = parent.parent();
            self.insert(parent, Hold::Parent(tree.mount()));
        }
    }
}

impl Tree {
    /// The flags it is mounted with.
    pub(super) fn mount(&self) -> Mount {
        Mount { read_only: !self.write, no_exec: !self.execute, no_dev: true }
    }

    /// What is looked for in it at the end.
    pub(super) fn watched(&self, held: Vec<HostPath>) -> Watched {
        Watched { tree: self.from.clone(), held, acls: self.acls.clone() }
    }
}

impl Deciding<'_> {
    /// Every hold the profile asks for.
    pub(super) fn holds(&mut self, shown: &Shown, holes: &[Punched]) -> Holds {
        if self.is_bare() {
            return self.unheld(shown);
        }
        let mut holds = Holds::default();
        for hole in holes {
            let around = shown.around(&hole.place).filter(|tree| tree.to != hole.place);
            let Some(tree) = around else { continue };
            if tree.write {
                holds.parents(tree, &hole.place);
            }
            holds.insert(hole.place.clone(), Hold::Hide(hole.kind));
        }
        self.hide_audit(shown, &mut holds);
        holds.drop_covered();
        for tree in &shown.trees {
            // What is shown inside what is writable must stay where it is.
            if let Some(parent) = shown.parent(tree).filter(|parent| parent.write) {
                holds.parents(parent, &tree.to);
            }
        }
        for tree in shown.trees.iter().filter(|tree| tree.write && tree.kind == Kind::Directory) {
            self.protect(tree, shown, &mut holds);
        }
        for tree in &shown.trees {
            holds.paths.remove(&tree.to);
        }
        holds
    }

    /// Covers the audit log where a user's own folder is shown that holds it.
    fn hide_audit(&self, shown: &Shown, holds: &mut Holds) {
        let AuditFact::Folder(folder) = &self.host.audit else { return };
        for tree in &shown.trees {
            let names = tree.names(folder);
            for inside in names.iter().filter_map(|name| tree.place(name)) {
                // Another tree may be shown over it; and one that lies in it is refused.
                let around = shown.around(&inside);
                if inside == tree.to || around.is_none_or(|around| around.to != tree.to) {
                    continue;
                }
                if tree.write {
                    holds.parents(tree, &inside);
                }
                holds.insert(inside, Hold::Hide(Kind::Directory));
            }
        }
    }

    fn protect(&mut self, tree: &Tree, shown: &Shown, holds: &mut Holds) {
        let origin = Origin::named("this profile", "files.protect");
        let (strict, origin) = match &self.profile.files.protect {
            None => (false, origin),
            Some(written) => match &written.value {
                Protect::Default => (false, written.origin.clone()),
                Protect::Strict => (true, written.origin.clone()),
                Protect::Off(_) => return,
            },
        };
        // Told already, of the tree that has it.
        if holds.bytes > MOST_BYTES {
            return;
        }
        let mut held = Vec::new();
        for fact in &tree.protected {
            if holds.bytes > MOST_BYTES {
                break;
            }
            let inside = fact.path.below(&tree.from).and_then(|below| tree.to.join(below).ok());
            let Some(path) = inside else { continue };
            // What lies in another tree is that one's affair; what is granted by its own name is granted.
            let nearest = shown.around(&path);
            let own = nearest.is_some_and(|nearest| nearest.to == tree.to);
            if !own || path == tree.to || holds.hides(&path) {
                let kept = holds.hides(&path) || (!own && is_elsewhere(nearest, &path));
                held.extend((kept && !fact.linked).then(|| fact.path.clone()));
                continue;
            }
            if matches!(fact.kind, ProtectedKind::Socket | ProtectedKind::Pipe) {
                held.extend(self.cover(fact, tree, path, holds));
                continue;
            }
            let Some(kind) = self.holdable(fact, strict, &origin) else { continue };
            // Held all the same, but named at the end of the run as what was not.
            held.extend((!fact.linked).then(|| fact.path.clone()));
            if !holds.keeps(tree, &path) {
                holds.parents(tree, &path);
                holds.keep((shown, tree), path, kind);
            }
        }
        self.bounded(tree, holds, &origin);
        if strict {
            self.whole(tree, &origin);
        }
        holds.watched.push(tree.watched(held));
    }

    /// Whoever may write the tree decides how much there is to be held, how deep it lies, and what can be read of it.
    fn bounded(&mut self, tree: &Tree, holds: &Holds, origin: &Origin) {
        match &tree.blind {
            None => {}
            Some(Blind::Bounded) => {
                let what = format!(
                    "{} has too many entries to search in time for what the host may execute and for sockets and pipes, or too many of these",
                    tree.from
                );
                let remedy = "grant a smaller folder, find out who filled it, try again if the disk was only slow, or write protect = { off = \"why\" }";
                self.refuse(origin, what, remedy);
            }
            Some(Blind::Closed(folder)) => {
                let what = format!(
                    "{folder} cannot be read, and so cannot be searched for what the host may execute and for sockets and pipes: an earlier run may have closed it"
                );
                let remedy = "check what is in it and make it readable to its owner again (chmod u+rx), or grant a smaller folder";
                self.refuse(origin, what, remedy);
            }
        }
        let longest = tree.protected.iter().max_by_key(|fact| fact.path.as_str().len());
        if let Some(longest) = longest.filter(|_| holds.bytes > MOST_BYTES) {
            let what = format!(
                "{} has more of what the host may execute, and of sockets and pipes, than fits into a plan, with all parent folders: {} is the longest",
                tree.from, longest.path
            );
            let remedy = "find out who filled it, grant a smaller folder, or write protect = { off = \"why\" }";
            self.refuse(origin, what, remedy);
        }
    }

    /// Covers what leads to a process of the host's. Before ABI 9 Landlock does not keep a socket from being connected
    /// to, and no flag of a mount does; of pipes it knows nothing. What was covered for certain stays as it is.
    fn cover(
        &self,
        fact: &ProtectedFact,
        tree: &Tree,
        path: JailPath,
        holds: &mut Holds,
    ) -> Option<HostPath> {
        let pipe = fact.kind == ProtectedKind::Pipe;
        if pipe || self.host.landlock.is_none_or(|found| found.abi < RESOLVE_UNIX) {
            holds.parents(tree, &path);
            holds.insert(path, Hold::Hide(Kind::File));
        }
        pipe.then(|| fact.path.clone())
    }

    /// What it is held as; a link cannot be, and a mount over one name of a file keeps no other.
    fn holdable(&mut self, fact: &ProtectedFact, strict: bool, origin: &Origin) -> Option<Kind> {
        if fact.linked && strict {
            let what = format!(
                "{} is, or contains, a file that can be written by other names (hard links)",
                fact.path
            );
            let remedy = "replace it with a copy (cp -p FILE FILE.new && mv FILE.new FILE), or write protect = \"default\"";
            self.refuse(origin, what, remedy);
        }
        match fact.kind {
            ProtectedKind::Directory => Some(Kind::Directory),
            ProtectedKind::Regular => Some(Kind::File),
            ProtectedKind::Socket | ProtectedKind::Pipe => None,
            ProtectedKind::Link | ProtectedKind::Other => {
                if strict {
                    let what = format!("{} is a link, and cannot be protected", fact.path);
                    let remedy = "replace it with its target, or write protect = \"default\"";
                    self.refuse(origin, what, remedy);
                }
                None
            }
        }
    }

    /// Nothing in the tree may be beyond what can be held.
    fn whole(&mut self, tree: &Tree, origin: &Origin) {
        if !tree.searched {
            let what =
                format!("{} could not be searched completely for what to protect", tree.from);
            self.refuse(origin, what, "grant a smaller folder, or write protect = \"default\"");
        }
        for missing in unheld(tree) {
            let what = format!("{missing} does not exist, so it could be planted");
            let common = missing.as_str().ends_with("/commondir");
            let remedy = if common {
                "git would take hooks and settings from where it says: create it, naming its own folder (printf '.\\n' > .git/commondir), or write protect = \"default\""
            } else {
                "create it as an empty file or folder, or write protect = \"default\""
            };
            self.refuse(origin, what, remedy);
        }
    }
}

/// Whether what lies in a tree in another one needs no word at the end: nobody inside can change what lies in
/// what is read, and of a folder that is written its own search tells. A second name would lead around either.
fn is_elsewhere(nearest: Option<&Tree>, path: &JailPath) -> bool {
    nearest.is_some_and(|nearest| {
        !nearest.write || (nearest.kind == Kind::Directory && nearest.to != *path)
    })
}

/// What a repository of this tree lacks of what a hold needs.
fn unheld(tree: &Tree) -> BTreeSet<HostPath> {
    let facts: BTreeSet<&HostPath> = tree.protected.iter().map(|fact| &fact.path).collect();
    let repositories = facts.iter().filter_map(|path| {
        protect::matches(path.as_str()).then_some(())?;
        let cut = path.as_str().find("/.git/")?;
        HostPath::try_from(path.as_str().get(..cut + 5)?).ok()
    });
    let repositories: BTreeSet<HostPath> = repositories.collect();
    let names = ["hooks", "config", "commondir"];
    let needed = repositories
        .iter()
        .flat_map(|git| names.into_iter().filter_map(|name| git.join(name).ok()));
    needed.filter(|path| !facts.contains(path)).collect()
}
