//! What the profile shows of the host: every entry of `[files]`, checked against what is there.

use super::dangers::{Danger, danger};
use super::{Deciding, jail};
use crate::host::{
    Also, Blind, FileKind, Found, Link, PathFact, Privilege, ProtectedFact, ProtectedKind,
};
use crate::origin::{Origin, Written};
use crate::place::{Base, Place};
use crate::schema::Access;
use sandboxd_plan::{HostPath, Identity, Inode, JailPath, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// errno(3), of x86_64.
pub(super) const ENOSYS: i32 = 38;

/// A tree or a file of the host, and what may be done with it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// On the host, without links.
    pub(super) from: HostPath,
    /// Inside.
    pub(super) to: JailPath,
    pub(super) kind: Kind,
    pub(super) inode: Inode,
    pub(super) write: bool,
    pub(super) execute: bool,
    pub(super) socket: bool,
    /// Owner and group on disk.
    pub(super) owner: (u32, u32),
    pub(super) protected: Vec<ProtectedFact>,
    pub(super) searched: bool,
    pub(super) blind: Option<Blind>,
    pub(super) acls: BTreeSet<Vec<u8>>,
    /// What in it has another name on the host.
    pub(super) also: Vec<Also>,
    pub(super) origin: Origin,
    /// Every entry that says so, for whoever asks why.
    pub(super) entries: Vec<(Access, Origin)>,
}

impl Tree {
    /// Whether a pipe was found there in this tree, which may be written.
    fn is_pipe(&self, path: &HostPath) -> bool {
        self.protected.iter().any(|one| one.kind == ProtectedKind::Pipe && one.path == *path)
    }

    /// The host's name of a path inside this tree.
    pub(super) fn host(&self, path: &JailPath) -> Option<HostPath> {
        match path.below(&self.to)? {
            "" => Some(self.from.clone()),
            below => self.from.join(below).ok(),
        }
    }
}

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// By place inside, and so parents first.
    pub(super) trees: Vec<Tree>,
    /// Links of the system on the way to them.
    pub(super) links: BTreeMap<JailPath, String>,
    /// Whether the command may execute what it writes. Where it may, `noexec` on its own temporary
    /// folders would keep nothing out, and would break what runs from there: documentation tests of
    /// cargo, `go test`, `npx`, programs in `~/.local/bin`.
    pub(super) programs: bool,
}

impl Shown {
    /// The tree a path inside comes from: the innermost one.
    pub(super) fn around(&self, path: &JailPath) -> Option<&Tree> {
        self.trees
            .iter()
            .filter(|tree| path.is_within(&tree.to))
            .max_by_key(|tree| tree.to.as_str().len())
    }

    /// The innermost tree that a tree lies in.
    pub(super) fn parent(&self, inner: &Tree) -> Option<&Tree> {
        self.trees
            .iter()
            .filter(|tree| tree.to != inner.to && inner.to.is_within(&tree.to))
            .max_by_key(|tree| tree.to.as_str().len())
    }

    /// Leave out what the tree around it shows already, in the same way.
    fn prune(&mut self, mapped: impl Fn(&Tree) -> bool) {
        let trees = std::mem::take(&mut self.trees);
        for tree in trees {
            // Parents come first, and so are kept already.
            let again = self.parent(&tree).is_some_and(|parent| {
                let same = parent.host(&tree.to).as_ref() == Some(&tree.from);
                let owned = parent.owner == tree.owner || !mapped(&tree);
                let covered = tree.socket || parent.is_pipe(&tree.from);
                same && owned && parent.rights().includes(tree.rights()) && !covered
            });
            if !again {
                self.trees.push(tree);
            }
        }
    }

    /// Whether any tree covers this path.
    pub(super) fn covers(&self, path: &JailPath) -> bool {
        self.around(path).is_some()
    }
}

/// An entry of the profile, whichever list it is in.
struct Entry<'a> {
    from: &'a Written<Place>,
    /// Where inside; at its own place where nothing is said.
    to: Option<&'a Written<Place>>,
    access: Access,
    optional: bool,
    reason: bool,
}

impl Deciding<'_> {
    /// Everything the profile shows of the host.
    pub(super) fn shown(&mut self, identity: Identity) -> Shown {
        let profile = self.profile;
        let mut shown = Shown::default();
        let grants = profile.files.grants.iter().map(|grant| Entry {
            from: &grant.path,
            to: None,
            access: grant.access,
            optional: grant.optional,
            reason: grant.reason.is_some(),
        });
        let binds = profile.files.bind.iter().map(|bind| Entry {
            from: &bind.from,
            to: Some(&bind.to),
            access: bind.access,
            optional: bind.optional,
            reason: bind.reason.is_some(),
        });
        for entry in grants.chain(binds) {
            if !self.is_nowhere(&entry) {
                self.show(&entry, &mut shown);
            }
        }
        self.show_resolver(&mut shown);
        shown.trees.sort_by(|one, other| one.to.cmp(&other.to));
        self.top_links(&mut shown);
        shown.prune(|tree| self.idmap(tree, identity).is_some());
        shown.programs = shown.trees.iter().any(|tree| tree.write && tree.execute);
        shown
    }

    /// In a home directory that is not there, nothing is; and what is optional may be missing.
    fn is_nowhere(&self, entry: &Entry<'_>) -> bool {
        let homeless = self.profile.folders.home.is_none();
        entry.optional && homeless && entry.from.value.base() == Base::Home
    }

    fn show(&mut self, entry: &Entry<'_>, shown: &mut Shown) {
        let origin = &entry.from.origin;
        let Some(path) = self.folder(entry.from) else {
            return;
        };
        let Some(found) = self.found(&path, entry) else {
            return;
        };
        if !self.trusted(&path, &found, origin) {
            return;
        }
        self.dangers(&path, &found, entry);
        self.doors(&found.real, &found.doors, origin);
        let to = match entry.to {
            None => jail(&found.real),
            Some(to) => self.target(to),
        };
        let Some(to) = to else { return };
        if entry.to.is_none() {
            shown.links.extend(links(&found.links));
        }
        let kind = match found.kind {
            FileKind::Directory => Kind::Directory,
            FileKind::Regular | FileKind::Socket | FileKind::Fifo => Kind::File,
            FileKind::Character | FileKind::Block => {
                self.refuse(
                    origin,
                    format!("{path} is a device"),
                    "remove it: the sandbox has its own /dev",
                );
                return;
            }
        };
        let tree = Tree {
            from: found.real,
            to,
            kind,
            inode: found.inode,
            write: entry.access == Access::Write,
            execute: entry.access == Access::Execute,
            socket: found.kind == FileKind::Socket,
            owner: (found.uid, found.gid),
            protected: found.protected,
            searched: found.searched,
            blind: found.blind,
            acls: found.acls,
            also: found.also,
            origin: origin.clone(),
            entries: vec![(entry.access, origin.clone())],
        };
        self.add(tree, shown);
    }

    /// What opens the host or its kernel comes with the tree that it is mounted in. In /proc, which only a sandbox
    /// without a view can be granted, there is nothing else; and the whole host is refused as such.
    fn doors(&mut self, path: &HostPath, doors: &[HostPath], origin: &Origin) {
        let known = HostPath::try_from("/proc").is_ok_and(|proc| path.is_within(&proc));
        let [first, rest @ ..] = doors else { return };
        if known || path.as_str() == "/" {
            return;
        }
        let what = match rest.len() {
            _ if path.is_within(first) => {
                format!("{path} is, or is in, a mount that exposes the host or its kernel")
            }
            0 => format!("{first} is mounted in {path}, and exposes the host or its kernel"),
            more => format!(
                "{first} and {more} more are mounted in {path}, and expose the host or its kernel"
            ),
        };
        self.refuse(origin, what, "grant the folders beside what is mounted there");
    }

    /// Entries for the same place come together; two things cannot be at one place.
    fn add(&mut self, tree: Tree, shown: &mut Shown) {
        let Some(old) = shown.trees.iter_mut().find(|old| old.to == tree.to) else {
            shown.trees.push(tree);
            return;
        };
        if old.from != tree.from {
            let what = format!("{} is already shown at {}", old.from, old.to);
            self.refuse(&tree.origin, what, "show it at another place");
            return;
        }
        old.write |= tree.write;
        old.execute |= tree.execute;
        old.searched &= tree.searched;
        old.blind = old.blind.take().or(tree.blind);
        old.acls.extend(tree.acls);
        old.entries.extend(tree.entries);
        if old.protected.is_empty() {
            old.protected = tree.protected;
        }
    }

    /// The path, where it does not begin in a folder this run does not have.
    pub(super) fn folder(&mut self, place: &Written<Place>) -> Option<HostPath> {
        let path = place.value.host(&self.profile.folders);
        if path.is_none() {
            let (what, remedy) = match place.value.base() {
                Base::Home => {
                    ("the user who runs sandboxd has no home directory", "write the path from /")
                }
                Base::Cwd => (
                    "this run has no current folder whose name is UTF-8",
                    "run it in another folder, or write the path from /",
                ),
                Base::Root | Base::Profile => ("too long", "write a shorter path"),
            };
            self.refuse(&place.origin, format!("{}: {what}", place.value), remedy);
        }
        path
    }

    fn found(&mut self, path: &HostPath, entry: &Entry<'_>) -> Option<Found> {
        let origin = &entry.from.origin;
        match self.host.paths.get(path) {
            Some(PathFact::Found(found)) => return Some(found.clone()),
            Some(PathFact::Missing) if entry.optional => {}
            Some(PathFact::Missing) if origin.is_typed() => {
                self.refuse(origin, format!("{path} does not exist"), "create it, or leave it out");
            }
            Some(PathFact::Missing) => self.refuse(
                origin,
                format!("{path} does not exist"),
                "create it, remove it, or write { path = \"…\", optional = true }",
            ),
            // Where a filter hides the very call, the host is what is wrong, and that is told.
            Some(PathFact::Failed(ENOSYS))
                if matches!(self.host.privilege, Privilege::None { .. }) => {}
            Some(PathFact::Failed(errno)) => self.refuse(
                origin,
                format!("{path} cannot be examined (errno {errno})"),
                "make it readable to the user who runs sandboxd, or remove it",
            ),
            None => self.refuse(origin, format!("{path} was not examined"), "report this"),
        }
        None
    }

    /// Whether every link on the way belongs to the system. Any other may have been planted, to be
    /// followed with the operator's authority.
    pub(super) fn trusted(&mut self, path: &HostPath, found: &Found, origin: &Origin) -> bool {
        let Some(link) = found.links.iter().find(|link| !link.trusted) else {
            return true;
        };
        self.refuse(
            origin,
            format!(
                "{path} leads through the link {}, which is not one of the system's own",
                link.path
            ),
            format!("write {} if that is what is meant", found.real),
        );
        false
    }

    fn dangers(&mut self, path: &HostPath, found: &Found, entry: &Entry<'_>) {
        let origin = &entry.from.origin;
        // What is typed for one run is meant, but the folder one happens to be in is not typed.
        let typed = origin.is_typed() && entry.from.value.base() == Base::Root;
        let reason = entry.reason || typed;
        let home = self.profile.folders.home.as_ref();
        let isolation = self.profile.isolation();
        let dangers = [path, &found.real]
            .into_iter()
            .filter_map(|at| danger(at, entry.access, isolation, home));
        let dangers = dangers.chain(self.holds_audit(path)).chain(self.holds_audit(&found.real));
        let twice = found.also.iter().filter_map(|Also { inside, at }| {
            let danger =
                danger(at, entry.access, isolation, home).or_else(|| self.holds_audit(at))?;
            let what = format!("{inside} is also {at}, mounted twice, and {}", danger.what);
            Some(Danger { what, ..danger })
        });
        let dangers = dangers.chain(twice);
        let refused = dangers.into_iter().find(|danger| !(danger.reasonable && reason));
        if let Some(danger) = refused {
            let remedy = match entry.from.value.base() {
                Base::Cwd => "run it in a folder below",
                Base::Root | Base::Home | Base::Profile => danger.remedy,
            };
            self.refuse(origin, danger.what, remedy);
        } else if matches!(found.kind, FileKind::Socket | FileKind::Fifo) && !entry.reason {
            self.refuse(
                origin,
                format!("{path} leads to a process outside, which may do what the sandbox may not"),
                "remove it, or write { path = \"…\", reason = \"why\" }",
            );
        }
    }

    /// Where a bind is shown.
    fn target(&mut self, to: &Written<Place>) -> Option<JailPath> {
        let path = self.folder(to)?;
        let own = ["/proc", "/dev", "/run/sandboxd", "/.sandboxd"];
        let within = |own: &str| HostPath::try_from(own).is_ok_and(|own| path.is_within(&own));
        if path.as_str() == "/" || own.into_iter().any(within) {
            self.refuse(
                &to.origin,
                format!("{path} is created by sandboxd"),
                "show it at another place",
            );
            return None;
        }
        jail(&path)
    }

    /// The host's links in `/` whose target is shown, or holds something that is.
    fn top_links(&self, shown: &mut Shown) {
        for (path, target) in &self.host.top_links {
            let absolute = HostPath::try_from("/").and_then(|top| match target.strip_prefix('/') {
                Some(_) => HostPath::try_from(target.as_str()),
                None => top.join(target),
            });
            let (Some(path), Ok(real)) = (jail(path), absolute) else {
                continue;
            };
            let leads = shown.trees.iter().any(|tree| {
                tree.from.as_str() == tree.to.as_str()
                    && (tree.from.is_within(&real) || real.is_within(&tree.from))
            });
            if leads {
                shown.links.insert(path, target.clone());
            }
        }
        let trees = &shown.trees;
        shown.links.retain(|path, _| {
            !trees.iter().any(|tree| path.is_within(&tree.to) || tree.to.is_within(path))
        });
    }
}

pub(super) fn links(links: &[Link]) -> impl Iterator<Item = (JailPath, String)> {
    links.iter().filter_map(|link| Some((jail(&link.path)?, link.target.clone())))
}
