//! Making what a root consists of: entries in a tmpfs, and file systems.

use super::{AT, Building, Nothing, open};
use crate::report;
use alloc::format;
use alloc::string::String;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Gid, Uid};
use sandboxd_plan::{Arrives, Call, Failure, JailPath, Owner, Report};

/// Connections that wait to be accepted; who comes when it is full waits too.
const BACKLOG: i32 = 16;

impl Building<'_> {
    pub(super) fn make_directory(&self, path: &JailPath, mode: u32) -> Result<(), Failure> {
        let (parent, name) = self.place(path)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode))
            .map_err(AT.errno(Call::Mkdir, path))?;
        // The umask took its part of what mkdir was asked for.
        rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(mode), AtFlags::empty())
            .map_err(AT.errno(Call::Chmod, path))
    }

    pub(super) fn make_file(
        &self,
        path: &JailPath,
        content: &str,
        mode: u32,
    ) -> Result<(), Failure> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))
            .map_err(AT.errno(Call::Open, path))?;
        write_all(&file, content.as_bytes()).map_err(AT.errno(Call::Write, path))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(AT.errno(Call::Chmod, path))
    }

    /// The kernel carries it: no byte of it is in this process's memory.
    pub(super) fn make_copy(
        &self,
        path: &JailPath,
        from: BorrowedFd<'_>,
        owner: Owner,
    ) -> Result<(), Failure> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::RUSR)
            .map_err(AT.errno(Call::Open, path))?;
        while rustix::fs::sendfile(&file, from, None, 1 << 20)
            .map_err(AT.errno(Call::Write, path))?
            > 0
        {}
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(AT.errno(Call::Chown, path))
    }

    pub(super) fn make_symlink(&self, path: &JailPath, target: &str) -> Result<(), Failure> {
        let (parent, name) = self.place(path)?;
        rustix::fs::symlinkat(target, &parent, name).map_err(AT.errno(Call::Symlink, path))
    }

    pub(super) fn make_device(
        &self,
        path: &JailPath,
        major: u32,
        minor: u32,
    ) -> Result<(), Failure> {
        let (parent, name) = self.place(path)?;
        let device = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(&parent, name, FileType::CharacterDevice, mode, device)
            .map_err(AT.errno(Call::Mknod, path))?;
        rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())
            .map_err(AT.errno(Call::Chmod, path))
    }

    /// A socket has no name but by a path, so this process goes to where it lies; `enter` sets the
    /// working directory for good.
    pub(super) fn make_endpoint(&self, path: &JailPath, arrives: Arrives) -> Result<(), Failure> {
        let (parent, name) = self.place(path)?;
        let kind = match arrives {
            Arrives::Calls | Arrives::Signatures => SocketType::STREAM,
            Arrives::Words => SocketType::DGRAM,
        };
        let endpoint =
            rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
                .map_err(AT.errno(Call::Socket, path))?;
        rustix::process::fchdir(&parent).map_err(AT.errno(Call::Chdir, path))?;
        let address = SocketAddrUnix::new(name).map_err(AT.errno(Call::Bind, path))?;
        rustix::net::bind(&endpoint, &address).map_err(AT.errno(Call::Bind, path))?;
        rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(0o666), AtFlags::empty())
            .map_err(AT.errno(Call::Chmod, path))?;
        if kind == SocketType::STREAM {
            rustix::net::listen(&endpoint, BACKLOG).map_err(AT.errno(Call::Listen, path))?;
        }
        report::hand_over(&Report::Endpoint(arrives), endpoint.as_fd())
            .map_err(AT.errno(Call::Sendmsg, "report"))
    }

    pub(super) fn write(&self, path: &JailPath, value: &str) -> Result<(), Failure> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::empty())
            .map_err(AT.errno(Call::Open, path))?;
        write_all(&file, value.as_bytes()).map_err(AT.errno(Call::Write, path))
    }

    /// The directory an entry lies in, and its name there.
    fn place<'p>(&self, path: &'p JailPath) -> Result<(OwnedFd, &'p str), Failure> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(AT.because(Call::Open, path));
        };
        Ok((open(self.root, parent.as_str())?, name))
    }
}

pub(super) fn tmpfs(
    size: &str,
    inodes: &str,
    mode: u32,
    owner: Owner,
    subject: &dyn core::fmt::Display,
) -> Result<OwnedFd, Failure> {
    let mode = format!("{mode:o}");
    let (uid, gid) = (decimal(u64::from(owner.uid)), decimal(u64::from(owner.gid)));
    let options = [
        ("size", size),
        ("nr_inodes", inodes),
        ("mode", mode.as_str()),
        ("uid", uid.as_str()),
        ("gid", gid.as_str()),
    ];
    filesystem("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID, subject)
}

/// Makes what hidden paths are covered with. Its names stay: unlinking them would cost more than
/// making them did, and nobody can open them.
pub(super) fn nothing(root: &OwnedFd) -> Result<Nothing, Failure> {
    const DIRECTORY: &str = ".empty-directory";
    const FILE: &str = ".empty-file";
    rustix::fs::mkdirat(root, DIRECTORY, Mode::empty())
        .map_err(AT.errno(Call::Mkdir, DIRECTORY))?;
    rustix::fs::mknodat(root, FILE, FileType::RegularFile, Mode::empty(), 0)
        .map_err(AT.errno(Call::Mknod, FILE))?;
    Ok(Nothing { directory: open(root, DIRECTORY)?, file: open(root, FILE)? })
}

/// The proc of the pid namespace this process is the first of. The whole of it, because runtimes
/// read more than `subset=pid` shows; what tells of the host is covered afterwards.
pub(super) fn proc(to: &JailPath) -> Result<OwnedFd, Failure> {
    filesystem("proc", &[], MountAttrFlags::MOUNT_ATTR_NOSUID, to)
}

pub(super) fn devpts(to: &JailPath) -> Result<OwnedFd, Failure> {
    // All instances draw from one pool of the host's, `kernel.pty.max`.
    let options = [("mode", "620"), ("ptmxmode", "666"), ("max", "64")];
    filesystem("devpts", &options, MountAttrFlags::MOUNT_ATTR_NOSUID, to)
}

pub(super) fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
    subject: &dyn core::fmt::Display,
) -> Result<OwnedFd, Failure> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(AT.errno(Call::Fsopen, subject))?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(&context, *key, *value)
            .map_err(AT.errno(Call::Fsconfig, subject))?;
    }
    rustix::mount::fsconfig_create(&context).map_err(AT.errno(Call::Fsconfig, subject))?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(AT.errno(Call::Fsmount, subject))
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::write(file, bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

pub(super) fn decimal(number: u64) -> String {
    format!("{number}")
}
