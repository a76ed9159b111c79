//! Build the root and make it the only one, or keep the one that is there where the plan says so.
//!
//! Kernel: the mount API on descriptors, fsopen(2), open_tree(2), mount_setattr(2) (5.12),
//! move_mount(2), pivot_root(2).
//! Here because: after `namespaces` (the mounts are ours alone), before `landlock` (a confined task
//! can neither mount nor pivot).
//! Proves: [`Rooted`].
//!
//! Every path is walked once, to a descriptor, and everything is done to the descriptor: what a path
//! names cannot change between the look and the mount. What the supervisor looked at before is compared.

use super::namespaces::Apart;
use crate::failure::At;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};
use sandboxd_kernel::mount::{self, Attributes, Reach};
use sandboxd_plan::{
    Call, Failure, HostPath, Inode, JailPath, Kind, Mount, Owner, Root, RootOp, Stage,
};

mod make;

const AT: At = At(Stage::Root);

/// Room for the root's own directories, links and small files.
const SIZE: &str = "8M";
/// As many entries as that room holds of the smallest files.
const INODES: &str = "4096";
/// The new root waits here, on a directory every host has and no plan binds, until it is pivoted to.
const WAITING_ROOM: &str = "/proc";
/// Proof: the planned root is the only one. Where it is the sandbox's own, what is not in it cannot be
/// named.
#[must_use]
pub(crate) struct Rooted(());

pub(crate) fn pivot(_: Apart, plan: &Root) -> Result<Rooted, Failure> {
    match plan {
        Root::Own { owner, ops } => build(*owner, ops),
        Root::Host => Ok(Rooted(())),
    }
}

fn build(owner: Owner, ops: &[RootOp]) -> Result<Rooted, Failure> {
    let host = open_host_root()?;
    mount::make_private(host.as_fd()).map_err(AT.errno(Call::MountSetattr, "/"))?;
    let root = make::tmpfs(SIZE, INODES, 0o755, owner, &"/")?;
    attach(&root, &waiting_room(&host)?, "/")?;
    let nothing = make::nothing(&root)?;
    let building = Building { host: &host, root: &root, nothing: &nothing };
    for op in ops {
        building.perform(op)?;
    }
    let finished = Attributes { read_only: true, no_exec: true, no_dev: true };
    mount::restrict(root.as_fd(), Reach::Alone, finished, None)
        .map_err(AT.errno(Call::MountSetattr, "/"))?;
    enter(&root)?;
    Ok(Rooted(()))
}

/// The host's root on one side, the sandbox's on the other.
struct Building<'a> {
    host: &'a OwnedFd,
    root: &'a OwnedFd,
    /// What hidden paths are covered with.
    nothing: &'a Nothing,
}

/// An empty directory and an empty file, both of mode 0.
struct Nothing {
    directory: OwnedFd,
    file: OwnedFd,
}

impl Building<'_> {
    fn perform(&self, op: &RootOp) -> Result<(), Failure> {
        match op {
            RootOp::Directory { path, mode } => self.make_directory(path, *mode),
            RootOp::File { path, content, mode } => self.make_file(path, content, *mode),
            RootOp::Copy { path, from, owner } => self.make_copy(path, granted(*from)?, *owner),
            RootOp::Symlink { path, target } => self.make_symlink(path, target),
            RootOp::Device { path, major, minor } => self.make_device(path, *major, *minor),
            RootOp::Bind { from, to, kind, inode, mount, idmap } => {
                self.bind(from, to, *kind, *inode, *mount, *idmap)
            }
            RootOp::Tmpfs { to, size, inodes, mode, owner, mount } => {
                let (size, inodes) = (make::decimal(*size), make::decimal(*inodes));
                self.mount(&make::tmpfs(&size, &inodes, *mode, *owner, to)?, to, *mount)
            }
            RootOp::Proc { to } => self.mount(&make::proc(to)?, to, QUIET),
            RootOp::Devpts { to } => {
                self.mount(&make::devpts(to)?, to, Mount { no_dev: false, ..QUIET })
            }
            RootOp::Sysctl { path, value } => self.write(path, value),
            RootOp::Hide { path, kind } => self.hide(path, *kind),
            RootOp::Hold { path, kind, mount } => self.hold(path, *kind, *mount),
            RootOp::Endpoint { path, arrives } => self.make_endpoint(path, *arrives),
            RootOp::Remount { path, mount } => {
                let there = self.inside(path)?;
                mount::restrict(there.as_fd(), Reach::Alone, attributes(*mount), None)
                    .map_err(AT.errno(Call::MountSetattr, path))
            }
        }
    }

    fn bind(
        &self,
        from: &HostPath,
        to: &JailPath,
        kind: Kind,
        inode: Option<Inode>,
        flags: Mount,
        idmap: Option<u32>,
    ) -> Result<(), Failure> {
        let source = open(self.host, from.as_str())?;
        must_be(kind, inode, &source, from.as_str())?;
        let tree = clone_tree(&source, from.as_str())?;
        let userns = match idmap {
            None => None,
            Some(number) => Some(granted(number)?),
        };
        mount::restrict(tree.as_fd(), Reach::Recursive, attributes(flags), userns)
            .map_err(AT.errno(Call::MountSetattr, from))?;
        attach(&tree, &self.inside(to)?, to.as_str())
    }

    /// Mounts something new, with flags of its own.
    fn mount(&self, made: &OwnedFd, to: &JailPath, flags: Mount) -> Result<(), Failure> {
        mount::restrict(made.as_fd(), Reach::Alone, attributes(flags), None)
            .map_err(AT.errno(Call::MountSetattr, to))?;
        attach(made, &self.inside(to)?, to.as_str())
    }

    fn hide(&self, path: &JailPath, kind: Kind) -> Result<(), Failure> {
        let there = self.inside(path)?;
        must_be(kind, None, &there, path.as_str())?;
        let nothing = match kind {
            Kind::Directory => &self.nothing.directory,
            Kind::File => &self.nothing.file,
        };
        let cover = clone_tree(nothing, path.as_str())?;
        let sealed = Attributes { read_only: true, no_exec: true, no_dev: true };
        mount::restrict(cover.as_fd(), Reach::Alone, sealed, None)
            .map_err(AT.errno(Call::MountSetattr, path))?;
        attach(&cover, &there, path.as_str())
    }

    fn hold(&self, path: &JailPath, kind: Kind, flags: Mount) -> Result<(), Failure> {
        let there = self.inside(path)?;
        must_be(kind, None, &there, path.as_str())?;
        let copy = clone_tree(&there, path.as_str())?;
        mount::restrict(copy.as_fd(), Reach::Recursive, attributes(flags), None)
            .map_err(AT.errno(Call::MountSetattr, path))?;
        attach(&copy, &there, path.as_str())
    }

    /// Something that exists in the new root.
    fn inside(&self, path: &JailPath) -> Result<OwnedFd, Failure> {
        open(self.root, path.as_str())
    }
}

/// Flags of what the kernel itself serves: nothing to execute, no devices.
const QUIET: Mount = Mount { read_only: false, no_exec: true, no_dev: true };

fn attributes(flags: Mount) -> Attributes {
    Attributes { read_only: flags.read_only, no_exec: flags.no_exec, no_dev: flags.no_dev }
}

fn open_host_root() -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, "/", flags, Mode::empty()).map_err(AT.errno(Call::Open, "/"))
}

fn waiting_room(host: &OwnedFd) -> Result<OwnedFd, Failure> {
    open(host, WAITING_ROOM)
}

/// Walks an absolute path below `root`, which no link and no `..` may leave or bend.
fn open(root: &OwnedFd, path: &str) -> Result<OwnedFd, Failure> {
    let below = match path.trim_start_matches('/') {
        "" => ".",
        below => below,
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, below, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
        .map_err(AT.errno(Call::Open, path))
}

fn must_be(kind: Kind, inode: Option<Inode>, file: &OwnedFd, path: &str) -> Result<(), Failure> {
    let stat = rustix::fs::fstat(file).map_err(AT.errno(Call::Stat, path))?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let found = if directory { Kind::Directory } else { Kind::File };
    let at = Inode { device: stat.st_dev, number: stat.st_ino };
    let errno = match kind {
        _ if found == kind && inode.is_none_or(|inode| inode == at) => return Ok(()),
        _ if found == kind => Errno::STALE,
        Kind::Directory => Errno::NOTDIR,
        Kind::File => Errno::ISDIR,
    };
    Err(AT.errno(Call::Stat, path)(errno))
}

fn clone_tree(of: &OwnedFd, path: &str) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(of, "", flags).map_err(AT.errno(Call::OpenTree, path))
}

fn attach(tree: &OwnedFd, there: &OwnedFd, path: &str) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", there, "", flags).map_err(AT.errno(Call::MoveMount, path))
}

fn granted(number: u32) -> Result<BorrowedFd<'static>, Failure> {
    let number = i32::try_from(number).map_err(|_| AT.because(Call::Fcntl, "granted"))?;
    sandboxd_kernel::fds::inherited(number).map_err(AT.errno(Call::Fcntl, number))
}

/// Makes `root` the root of this process and detaches the host's.
fn enter(root: &OwnedFd) -> Result<(), Failure> {
    rustix::process::fchdir(root).map_err(AT.errno(Call::Chdir, "/"))?;
    // With both arguments the same directory the old root ends up on top of the new one, from where
    // it is detached: no mount point is needed to put it on (pivot_root(2), NOTES).
    rustix::process::pivot_root(".", ".").map_err(AT.errno(Call::PivotRoot, "/"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(AT.errno(Call::Umount, "/"))?;
    rustix::process::chdir("/").map_err(AT.errno(Call::Chdir, "/"))
}
