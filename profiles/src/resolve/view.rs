//! The root: what sandboxd makes of its own, and over it what the profile shows.

use super::calls::Carried;
use super::holds::Holds;
use super::notify::Notified;
use super::trees::{Shown, Tree};
use super::{Deciding, Grants, depth, masks};
use crate::host::{FileKind, PathFact};
use crate::origin::Origin;
use crate::resolved::Idmap;
use crate::schema::Mode;
use sandboxd_plan::{HostPath, Identity, JailPath, Kind, Mount, Owner, RootOp};
use std::collections::BTreeSet;

/// Where a private tree that may be written lies, for the rules.
#[derive(Debug)]
pub(super) struct View {
    pub(super) ops: Vec<RootOp>,
    /// The private directories that may be written: `/tmp`, home, `/dev/shm`.
    pub(super) scratch: Vec<JailPath>,
    /// Whether files in `/tmp` and home can be executed.
    pub(super) programs: bool,
    /// The home directory inside.
    pub(super) home: JailPath,
    /// The folder for temporary files.
    pub(super) tmp: JailPath,
    /// Whether there is no view: the supervisor's root is the sandbox's.
    pub(super) bare: bool,
    /// Files that nobody but the command may read, and the folder they are in, where there are some.
    pub(super) secrets: Vec<JailPath>,
    pub(super) credentials: Option<JailPath>,
    /// Whom the command trusts, where the sandbox has an authority of its own.
    pub(super) authority: Option<JailPath>,
    /// Directories and files that exist in the sandbox's own tmpfs.
    pub(super) made: BTreeSet<JailPath>,
    /// What the command calls through.
    pub(super) carried: Option<Carried>,
    /// What it is told of the service manager.
    pub(super) notified: Option<Notified>,
    /// Where it asks for signatures.
    pub(super) agent: Option<JailPath>,
}

/// The file at the root that nothing grants: the self-test must fail to open it. Its mode allows
/// everything, so that a refusal comes from the layers.
pub(super) const CANARY: &str = "/.sandboxd";
/// Bytes of `/tmp`, and of the home directory, where a profile is silent.
pub(crate) const TMP: u64 = 64 << 20;

const PRIVATE: Mount = Mount { read_only: false, no_exec: true, no_dev: true };
const PRIVATE_PROGRAMS: Mount = Mount { no_exec: false, ..PRIVATE };
const DEVICES: &[(&str, u32, u32)] = &[
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// A path that this file spells out.
pub(super) fn fixed(path: &str) -> Option<JailPath> {
    JailPath::try_from(path).ok()
}

impl Deciding<'_> {
    /// The root.
    pub(super) fn view(
        &mut self,
        shown: &Shown,
        holds: &Holds,
        identity: Identity,
        grants: &mut Grants,
    ) -> Option<View> {
        let mut homes = ["/home/agent", "/run/home"].into_iter().filter_map(fixed);
        let given = |home: &JailPath| shown.trees.iter().any(|tree| tree.to == *home);
        let Some(home) = homes.find(|home| given(home) || !shown.covers(home)) else {
            let origin = Origin::named("this profile", "files");
            if !shown.trees.iter().any(|tree| self.is_refused(&tree.origin)) {
                self.refuse(&origin, "leaves no place for a home directory", "do not grant /home");
            }
            return None;
        };
        let tmp = fixed("/tmp")?;
        let mut view = View {
            ops: Vec::new(),
            scratch: Vec::new(),
            programs: shown.programs,
            home,
            tmp,
            bare: false,
            secrets: Vec::new(),
            credentials: None,
            authority: None,
            made: BTreeSet::new(),
            carried: None,
            notified: None,
            agent: None,
        };
        let size = self.profile.files.tmp.as_ref().map_or(TMP, |tmp| tmp.value);
        self.proc(&mut view);
        let owner = self.owner(identity);
        view.devices(size, owner, self.is_rootless());
        view.scratch("/tmp", (0o1777, owner), size, shown);
        let home = view.home.as_str().to_owned();
        let own = Owner { uid: identity.uid, gid: identity.gid };
        view.scratch(&home, (0o700, own), size, shown);
        self.etc(&mut view, shown, identity);
        view.directory("/run");
        view.file(CANARY, String::new(), 0o666);
        for (path, target) in &shown.links {
            view.above(path);
            if view.made.insert(path.clone()) {
                view.ops.push(RootOp::Symlink { path: path.clone(), target: target.clone() });
            }
        }
        self.mounts(&mut view, shown, holds, identity, grants);
        Some(view)
    }

    fn proc(&mut self, view: &mut View) {
        view.directory("/proc");
        let Some(proc) = fixed("/proc") else {
            return;
        };
        view.ops.push(RootOp::Proc { to: proc });
        if let (true, Some(path)) = (self.noexec_memfd(), fixed("/proc/sys/vm/memfd_noexec")) {
            view.ops.push(RootOp::Sysctl { path, value: "2".into() });
        }
        let mount = Mount { read_only: true, no_exec: true, no_dev: true };
        self.needs_all_of_proc();
        for (path, kind) in self.existing(masks::READ_ONLY) {
            view.ops.push(RootOp::Hold { path, kind, mount });
        }
        for (path, kind) in self.existing(masks::HIDDEN) {
            view.ops.push(RootOp::Hide { path, kind });
        }
    }

    /// Who and where the sandbox is, in the files that programs ask.
    fn etc(&self, view: &mut View, shown: &Shown, identity: Identity) {
        let Identity { uid, gid, .. } = identity;
        let (name, home) = (self.profile.name(), view.home.clone());
        let root = if uid == 0 { "" } else { "root:x:0:0:root:/:/usr/sbin/nologin\n" };
        let group = if gid == 0 { "" } else { "root:x:0:\n" };
        // The loopback: there, names are answered over TCP too.
        let resolver = match self.mode() {
            Mode::Egress => "nameserver 127.0.0.1\n",
            Mode::None | Mode::Host => "# no network\n",
        };
        let files = [
            (
                "/etc/passwd",
                format!(
                    "{root}agent:x:{uid}:{gid}:agent:{home}:/bin/sh\n\
                         nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
                ),
            ),
            ("/etc/group", format!("{group}agent:x:{gid}:\nnogroup:x:65534:\n")),
            ("/etc/hostname", format!("{name}\n")),
            ("/etc/hosts", format!("127.0.0.1 localhost {name}\n::1 localhost {name}\n")),
            ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".into()),
            ("/etc/resolv.conf", resolver.into()),
        ];
        for (path, content) in files {
            let resolver =
                self.mode() == Mode::Host && shown.links.keys().any(|link| link.as_str() == path);
            if !resolver && fixed(path).is_some_and(|path| !shown.covers(&path)) {
                view.file(path, content, 0o444);
            }
        }
    }

    /// Binds, holes and holds, parents first.
    fn mounts(
        &mut self,
        view: &mut View,
        shown: &Shown,
        holds: &Holds,
        identity: Identity,
        grants: &mut Grants,
    ) {
        let mut mounts: Vec<(usize, JailPath, RootOp)> =
            holds.ops().map(|(path, op)| (depth(path.as_str()), path.clone(), op)).collect();
        for tree in &shown.trees {
            let idmap = self.idmap(tree, identity).map(|idmap| grants.idmap(idmap));
            match shown.parent(tree) {
                None => view.point(tree),
                Some(parent) if parent.host(&tree.to).as_ref() == Some(&tree.from) => {}
                Some(parent) if self.point(tree, parent) => {}
                Some(_) => continue,
            }
            let op = RootOp::Bind {
                from: tree.from.clone(),
                to: tree.to.clone(),
                kind: tree.kind,
                inode: Some(tree.inode),
                mount: tree.mount(),
                idmap,
            };
            mounts.push((depth(tree.to.as_str()), tree.to.clone(), op));
        }
        mounts.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        view.ops.extend(mounts.into_iter().map(|(_, _, op)| op));
    }

    /// The map a tree needs so that the sandbox's user acts as the owner on disk. Without root nobody can
    /// be mapped, and the command is its caller: it may do on disk what the caller may.
    pub(super) fn idmap(&self, tree: &Tree, identity: Identity) -> Option<Idmap> {
        let (uid, gid) = tree.owner;
        let needed = uid != identity.uid && (tree.write || uid != 0) && !self.is_rootless();
        needed.then_some(Idmap {
            disk_uid: uid,
            disk_gid: gid,
            uid: identity.uid,
            gid: identity.gid,
        })
    }

    /// Whether the mount point exists in the tree it lies in.
    fn point(&mut self, tree: &Tree, parent: &Tree) -> bool {
        let fact = parent.host(&tree.to).and_then(|path| self.host.paths.get(&path));
        let kind = match fact {
            Some(PathFact::Found(found)) if found.links.is_empty() => Some(found.kind),
            Some(_) | None => None,
        };
        let fits = match tree.kind {
            Kind::Directory => kind == Some(FileKind::Directory),
            Kind::File => kind == Some(FileKind::Regular),
        };
        if !fits {
            let wanted = if tree.kind == Kind::Directory { "folder" } else { "file" };
            let what = format!(
                "there is no {wanted} {} in {} to show {} at, and nothing is created in your tree",
                tree.to, parent.from, tree.from
            );
            self.refuse(&tree.origin, what, "create it, or show it elsewhere");
        }
        fits
    }
}

impl View {
    /// Whether a path exists in the sandbox's own tmpfs.
    pub(super) fn made(&self, path: &JailPath) -> bool {
        path.as_str() == "/" || self.made.contains(path)
    }

    /// Make a directory and those above it.
    pub(super) fn directory(&mut self, path: &str) {
        if let Some(path) = fixed(path) {
            self.above(&path);
            self.folder(path);
        }
    }

    fn folder(&mut self, path: JailPath) {
        if path.as_str() != "/" && self.made.insert(path.clone()) {
            // What leads to a mount point in the sandbox's own home is as writable as the rest of it.
            let private = self.scratch.iter().any(|scratch| path.is_within(scratch));
            let mode = if private { 0o777 } else { 0o755 };
            self.ops.push(RootOp::Directory { path, mode });
        }
    }

    /// Make the directories above a path.
    fn above(&mut self, path: &JailPath) {
        if let Some(parent) = path.parent() {
            self.above(&parent);
            self.folder(parent);
        }
    }

    pub(super) fn file(&mut self, path: &str, content: String, mode: u32) {
        if let Some(path) = fixed(path) {
            self.above(&path);
            if self.made.insert(path.clone()) {
                self.ops.push(RootOp::File { path, content, mode });
            }
        }
    }

    /// A file of `owner`'s with what was granted.
    pub(super) fn copy(&mut self, path: JailPath, from: u32, owner: Owner) {
        self.above(&path);
        if self.made.insert(path.clone()) {
            self.ops.push(RootOp::Copy { path, from, owner });
        }
    }

    /// A mount point in the sandbox's own tmpfs.
    fn point(&mut self, tree: &Tree) {
        self.above(&tree.to);
        match tree.kind {
            Kind::Directory => self.folder(tree.to.clone()),
            Kind::File => self.file(tree.to.as_str(), String::new(), 0o444),
        }
    }

    /// A private directory that may be written; only an empty one where nothing may be.
    fn scratch(&mut self, path: &str, access: (u32, Owner), size: u64, shown: &Shown) {
        let Some(to) = fixed(path).filter(|to| to.as_str() != "/" && !shown.covers(to)) else {
            return;
        };
        self.directory(path);
        // A tmpfs of size 0 would be one without a limit, tmpfs(5).
        if size > 0 {
            let mount = if self.programs { PRIVATE_PROGRAMS } else { PRIVATE };
            self.tmpfs(to.clone(), size, access, mount);
            self.scratch.push(to);
        }
    }

    /// `access` is the mode and the owner of its root.
    fn tmpfs(&mut self, to: JailPath, size: u64, (mode, owner): (u32, Owner), mount: Mount) {
        let inodes = (size / 4096).clamp(64, 1 << 20);
        self.ops.push(RootOp::Tmpfs { to, size, inodes, mode, owner, mount });
    }

    fn devices(&mut self, size: u64, owner: Owner, rootless: bool) {
        let mount = Mount { read_only: false, no_exec: true, no_dev: false };
        self.directory("/dev");
        let (Some(dev), Some(pts), Some(shm)) =
            (fixed("/dev"), fixed("/dev/pts"), fixed("/dev/shm"))
        else {
            return;
        };
        self.tmpfs(dev.clone(), 64 << 10, (0o755, owner), mount);
        for (path, major, minor) in DEVICES {
            if rootless {
                self.hosts_device(path);
            } else {
                let device = |path| RootOp::Device { path, major: *major, minor: *minor };
                self.ops.extend(fixed(path).map(device));
            }
        }
        for (path, target) in DEVICE_LINKS {
            let target = (*target).to_owned();
            self.ops.extend(fixed(path).map(|path| RootOp::Symlink { path, target }));
        }
        self.directory("/dev/pts");
        self.ops.push(RootOp::Devpts { to: pts });
        self.directory("/dev/shm");
        if size > 0 {
            self.tmpfs(shm.clone(), size, (0o1777, owner), PRIVATE);
            self.scratch.push(shm);
        }
        self.ops.push(RootOp::Remount { path: dev, mount: Mount { read_only: true, ..mount } });
    }

    /// The host's own node: only root can make another. A device is read and written whatever its mount
    /// says; what a read-only one keeps is its mode and its owner.
    fn hosts_device(&mut self, path: &str) {
        let mount = Mount { read_only: true, no_exec: true, no_dev: false };
        self.file(path, String::new(), 0o666);
        if let (Ok(from), Some(to)) = (HostPath::try_from(path), fixed(path)) {
            let (kind, inode, idmap) = (Kind::File, None, None);
            self.ops.push(RootOp::Bind { from, to, kind, inode, mount, idmap });
        }
    }
}
