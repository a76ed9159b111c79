//! The root as the command sees it: what a plan mounts and makes, as one tree that can be asked.

use super::host::{Look, Seen, Thing};
use crate::resolved::{Idmap, Resolved};
use sandboxd_plan::{HostPath, JailPath, Kind, Mount, Root, RootOp, fds};
use std::collections::BTreeMap;

pub(super) const ENOENT: i32 = 2;
pub(super) const EACCES: i32 = 13;

/// A file, whatever it is a file of.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) thing: Thing,
    pub(super) mode: u32,
    /// Owner and group as the mount shows them; nothing where its map has no number for them.
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) id: Id,
    /// More permissions than the mode tells of.
    pub(super) acl: bool,
    /// What the mounts it is reached through do not let be done.
    pub(super) flags: Flags,
}

/// What makes a file this one, by whatever path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id {
    /// Made by sandboxd, in a file system of the sandbox's own.
    Made(JailPath),
    /// Of the host: device and inode.
    Host(u64, u64),
}

/// What is forbidden on a mount, whatever the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) read_only: bool,
    pub(super) no_exec: bool,
    pub(super) no_dev: bool,
}

impl Flags {
    fn with(self, more: Self) -> Self {
        Self {
            read_only: self.read_only || more.read_only,
            no_exec: self.no_exec || more.no_exec,
            no_dev: self.no_dev || more.no_dev,
        }
    }
}

impl From<Mount> for Flags {
    fn from(mount: Mount) -> Self {
        Self { read_only: mount.read_only, no_exec: mount.no_exec, no_dev: mount.no_dev }
    }
}

/// What a mount shows.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A file system of the sandbox's own, which sandboxd fills.
    Own { mode: u32, uid: u32, gid: u32 },
    /// A tree of the host.
    Host { from: HostPath, idmap: Option<Idmap> },
    /// The proc of the sandbox's own processes.
    Proc,
    /// The terminals of the sandbox's own.
    Terminals,
    /// Something empty, that nobody may open.
    Nothing(Kind),
}

/// Why there is a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Sandboxd makes it for every sandbox.
    Sandboxd,
    /// A profile shows it.
    Shown,
    /// It is held as it is.
    Held,
    /// It is covered.
    Hidden,
}

#[derive(Debug, Clone)]
pub(super) struct Mounted {
    pub(super) to: JailPath,
    pub(super) what: What,
    pub(super) flags: Flags,
    pub(super) by: By,
}

/// The finished root.
pub(super) struct View<'a> {
    mounts: Vec<Mounted>,
    made: BTreeMap<JailPath, Node>,
    pub(super) resolved: &'a Resolved,
    pub(super) look: Look<'a>,
}

impl<'a> View<'a> {
    /// The root that the shim makes of the plan, or the host's own where it makes none.
    #[expect(clippy::expect_used, reason = "these paths are constant, and absolute")]
    pub(super) fn of(resolved: &'a Resolved, look: Look<'a>) -> Self {
        let root = JailPath::try_from("/").expect("a path");
        let mut view = Self { mounts: Vec::new(), made: BTreeMap::new(), resolved, look };
        match &resolved.plan.root {
            Root::Host => view.mounts.push(Mounted {
                to: root,
                what: What::Host { from: HostPath::try_from("/").expect("a path"), idmap: None },
                flags: Flags::default(),
                by: By::Sandboxd,
            }),
            Root::Own { owner, ops } => {
                view.mounts.push(Mounted {
                    to: root,
                    what: What::Own { mode: 0o755, uid: owner.uid, gid: owner.gid },
                    // Until all is made it can be written, but not by the command.
                    flags: Flags { read_only: true, no_exec: true, no_dev: true },
                    by: By::Sandboxd,
                });
                let owner = (owner.uid, owner.gid);
                for name in ["/.empty-directory", "/.empty-file"] {
                    let directory = name.ends_with('y');
                    let thing = if directory { Thing::Directory } else { Thing::Regular };
                    view.make(&JailPath::try_from(name).expect("a path"), thing, (0, owner));
                }
                ops.iter().for_each(|op| view.perform(op, owner));
            }
        }
        view
    }

    fn perform(&mut self, op: &RootOp, owner: (u32, u32)) {
        match op {
            RootOp::Directory { path, mode } => self.make(path, Thing::Directory, (*mode, owner)),
            RootOp::File { path, mode, .. } => self.make(path, Thing::Regular, (*mode, owner)),
            RootOp::Copy { path, owner, .. } => {
                self.make(path, Thing::Regular, (0o400, (owner.uid, owner.gid)));
            }
            RootOp::Symlink { path, target } => {
                self.make(path, Thing::Link(target.clone()), (0o777, owner));
            }
            RootOp::Device { path, .. } => self.make(path, Thing::Device, (0o666, owner)),
            RootOp::Endpoint { path, .. } => self.make(path, Thing::Socket, (0o666, owner)),
            RootOp::Bind { from, to, mount, idmap, .. } => {
                let idmap = idmap.and_then(|number| self.idmap(number));
                self.mount(to, What::Host { from: from.clone(), idmap }, *mount, By::Shown);
            }
            RootOp::Tmpfs { to, mode, owner, mount, .. } => {
                let what = What::Own { mode: *mode, uid: owner.uid, gid: owner.gid };
                self.mount(to, what, *mount, By::Sandboxd);
            }
            RootOp::Proc { to } => self.mount(to, What::Proc, QUIET, By::Sandboxd),
            // Terminals are devices.
            RootOp::Devpts { to } => {
                let mount = Mount { no_dev: false, ..QUIET };
                self.mount(to, What::Terminals, mount, By::Sandboxd);
            }
            RootOp::Hide { path, kind } => {
                let sealed = Mount { read_only: true, no_exec: true, no_dev: true };
                self.mount(path, What::Nothing(*kind), sealed, By::Hidden);
            }
            RootOp::Hold { path, mount, .. } => self.hold(path, *mount),
            RootOp::Remount { path, mount } => {
                if let Some(there) = self.mounts.iter_mut().rev().find(|one| one.to == *path) {
                    there.flags = there.flags.with((*mount).into());
                }
            }
            // A value in a file of proc.
            RootOp::Sysctl { .. } => {}
        }
    }

    fn make(&mut self, path: &JailPath, thing: Thing, (mode, (uid, gid)): (u32, (u32, u32))) {
        let id = Id::Made(path.clone());
        let (uid, gid) = (Some(uid), Some(gid));
        let flags = Flags::default();
        self.made.insert(path.clone(), Node { thing, mode, uid, gid, id, acl: false, flags });
    }

    /// Whatever lay there before is covered.
    fn mount(&mut self, to: &JailPath, what: What, mount: Mount, by: By) {
        self.mounts.retain(|one| one.to == *to || !one.to.is_within(to));
        self.made.retain(|path, _| path == to || !path.is_within(to));
        self.mounts.push(Mounted { to: to.clone(), what, flags: mount.into(), by });
    }

    /// The same again at the same place, with more flags, and with all that is mounted in it.
    fn hold(&mut self, path: &JailPath, mount: Mount) {
        let more: Flags = mount.into();
        for inner in self.mounts.iter_mut().filter(|one| one.to != *path && one.to.is_within(path))
        {
            inner.flags = inner.flags.with(more);
        }
        let there = self.around(path);
        let what = match (&there.what, path.below(&there.to)) {
            (What::Host { from, idmap }, Some(below)) if !below.is_empty() => {
                match from.join(below) {
                    Ok(from) => What::Host { from, idmap: *idmap },
                    Err(_) => return,
                }
            }
            (what, _) => what.clone(),
        };
        let flags = there.flags.with(more);
        // A folder above what is held is as its tree; only what is more than that was asked for.
        let by = if flags == there.flags { there.by } else { By::Held };
        self.mounts.push(Mounted { to: path.clone(), what, flags, by });
    }

    /// The map of a granted descriptor: they come in the order in which the supervisor grants them.
    fn idmap(&self, number: u32) -> Option<Idmap> {
        let Resolved { plan, outside, .. } = self.resolved;
        let before = usize::from(plan.namespaces.network.is_some())
            + plan.namespaces.tasks.len()
            + outside.copies.len();
        let first = usize::try_from(fds::FIRST_GRANTED).ok()? + before;
        outside.idmaps.get(usize::try_from(number).ok()?.checked_sub(first)?).copied()
    }

    /// The mount a path lies on, the last of those at one place.
    #[expect(clippy::expect_used, reason = "the root is mounted before anything else")]
    pub(super) fn around(&self, path: &JailPath) -> &Mounted {
        let around = self.mounts.iter().filter(|one| path.is_within(&one.to));
        around.max_by_key(|one| one.to.as_str().len()).expect("the root holds every path")
    }

    /// Whether something is mounted at this very place.
    pub(super) fn is_mount_point(&self, path: &JailPath) -> bool {
        self.around(path).to == *path
    }

    /// The host's name of a path, where it is the host that is shown there.
    pub(super) fn host(&self, path: &JailPath) -> Option<HostPath> {
        let there = self.around(path);
        match (&there.what, path.below(&there.to)?) {
            (What::Host { from, .. }, "") => Some(from.clone()),
            (What::Host { from, .. }, below) => from.join(below).ok(),
            _ => None,
        }
    }

    /// What is at a path of which no part but the last is a link.
    pub(super) fn at(&self, path: &JailPath) -> Result<Node, i32> {
        let there = self.around(path);
        let node = match &there.what {
            What::Own { mode, uid, gid } if there.to == *path => Ok(Node {
                thing: Thing::Directory,
                mode: *mode,
                uid: Some(*uid),
                gid: Some(*gid),
                id: Id::Made(path.clone()),
                acl: false,
                flags: Flags::default(),
            }),
            What::Own { .. } => self.made.get(path).cloned().ok_or(ENOENT),
            What::Host { idmap, .. } => self.of_host(path, idmap.as_ref()),
            What::Proc => self.of_proc(path),
            What::Terminals => self.terminal(path),
            What::Nothing(kind) => Ok(Node {
                thing: if *kind == Kind::Directory { Thing::Directory } else { Thing::Regular },
                mode: 0,
                uid: Some(0),
                gid: Some(0),
                id: Id::Made(path.clone()),
                acl: false,
                flags: Flags::default(),
            }),
        }?;
        Ok(Node { flags: node.flags.with(there.flags), ..node })
    }

    fn of_host(&self, path: &JailPath, idmap: Option<&Idmap>) -> Result<Node, i32> {
        let host = self.host(path).ok_or(ENOENT)?;
        let process = matches!(self.resolved.plan.root, Root::Host)
            && HostPath::try_from("/proc").is_ok_and(|proc| host.is_within(&proc));
        if process {
            return self.of_proc(path);
        }
        let seen = (self.look)(&host)?;
        let (uid, gid) = match idmap {
            None => (Some(seen.uid), Some(seen.gid)),
            Some(map) => (
                (seen.uid == map.disk_uid).then_some(map.uid),
                (seen.gid == map.disk_gid).then_some(map.gid),
            ),
        };
        let flags = Flags { read_only: seen.read_only, no_exec: seen.no_exec, no_dev: false };
        let id = Id::Host(seen.id.0, seen.id.1);
        Ok(Node { thing: seen.thing, mode: seen.mode, uid, gid, id, acl: seen.acl, flags })
    }

    /// What proc has for every process is as it is for this one; the rest is the machine's.
    fn of_proc(&self, path: &JailPath) -> Result<Node, i32> {
        let mut names = path.as_str().split('/').skip(2);
        let process = names.next().is_some_and(|name| {
            matches!(name, "self" | "thread-self") || name.bytes().all(|byte| byte.is_ascii_digit())
        });
        let below: Vec<&str> = names.collect();
        let model = match (process, below.is_empty()) {
            (false, _) => path.as_str().to_owned(),
            (true, true) => String::from("/proc/1"),
            (true, false) => format!("/proc/self/{}", below.join("/")),
        };
        let Seen { thing, mode, uid, gid, .. } =
            (self.look)(&HostPath::try_from(model).map_err(|_| ENOENT)?)?;
        // Where such a link leads is known to the process alone.
        let leads = process && matches!(thing, Thing::Link(_));
        let thing = if leads { Thing::Regular } else { thing };
        let own = self.resolved.plan.command.identity;
        let (uid, gid) = if process { (own.uid, own.gid) } else { (uid, gid) };
        let (uid, gid) = (Some(uid), Some(gid));
        let id = Id::Made(path.clone());
        Ok(Node { thing, mode, uid, gid, id, acl: false, flags: Flags::default() })
    }

    fn terminal(&self, path: &JailPath) -> Result<Node, i32> {
        let own = self.resolved.plan.command.identity;
        let (thing, mode, uid) = match path.as_str() {
            "/dev/pts" => (Thing::Directory, 0o755, 0),
            "/dev/pts/ptmx" => (Thing::Device, 0o666, 0),
            "/dev/pts/0" if self.resolved.plan.terminal.is_some() => {
                (Thing::Device, 0o620, own.uid)
            }
            _ => return Err(ENOENT),
        };
        let (uid, gid) = (Some(uid), Some(0));
        let id = Id::Made(path.clone());
        Ok(Node { thing, mode, uid, gid, id, acl: false, flags: Flags::default() })
    }
}

/// Flags of what the kernel itself serves.
const QUIET: Mount = Mount { read_only: false, no_exec: true, no_dev: true };
