//! One directory of one hierarchy, held by descriptor.
//!
//! Every name is looked up below a descriptor with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`,
//! openat2(2); no path is walked twice.

use super::CgroupError;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Far more than any file of the kernel's that is read here, `cgroup.procs` aside.
const CHUNK: usize = 4096;

/// A cgroup directory, and how messages call it.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    label: String,
}

/// What became of [`Dir::claim`].
#[derive(Debug)]
pub(crate) enum Claim {
    /// Made, and this process owns it.
    Made(Dir),
    /// There is one of this name.
    Exists,
}

impl Dir {
    /// The root of a mounted hierarchy, after a look at whether it is one.
    pub(crate) fn mount(path: &Path) -> Result<Self, CgroupError> {
        const CGROUP: i64 = 0x0027_e0eb;
        const CGROUP2: i64 = 0x6367_7270;
        let label = path.display().to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| CgroupError::refused("open", &label, errno))?;
        let kind = rustix::fs::fstatfs(&fd)
            .map_err(|errno| CgroupError::refused("fstatfs", &label, errno))?
            .f_type;
        if kind == CGROUP || kind == CGROUP2 {
            return Ok(Self { fd, label });
        }
        Err(CgroupError::found(
            "fstatfs",
            label,
            "something is mounted over the cgroup file system: unmount it",
        ))
    }

    /// How messages call it.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The directory `path` below this one; an empty path is this one.
    pub(crate) fn open(&self, path: impl AsRef<Path>) -> Result<Self, CgroupError> {
        let path = path.as_ref();
        let (path, label) = if path.as_os_str().is_empty() {
            (Path::new("."), self.label.clone())
        } else {
            (path, self.name(path))
        };
        let fd = beneath(self.fd.as_fd(), path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|errno| CgroupError::refused("openat2", &label, errno))?;
        Ok(Self { fd, label })
    }

    fn name(&self, path: impl AsRef<Path>) -> String {
        format!("{}/{}", self.label.trim_end_matches('/'), path.as_ref().display())
    }

    /// Whether a file or directory of this name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Whether a directory can be made here, as far as modes, mount options and capabilities tell.
    pub(crate) fn writable(&self) -> Result<(), CgroupError> {
        rustix::fs::accessat(&self.fd, ".", rustix::fs::Access::WRITE_OK, AtFlags::empty())
            .map_err(|errno| CgroupError::refused("faccessat", &self.label, errno))
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> Option<u32> {
        rustix::fs::fstat(&self.fd).ok().map(|stat| stat.st_uid)
    }

    /// Its inode number, which on v2 is the kernel's cgroup id.
    pub(crate) fn inode(&self) -> Result<u64, CgroupError> {
        rustix::fs::fstat(&self.fd)
            .map(|stat| stat.st_ino)
            .map_err(|errno| CgroupError::refused("fstat", &self.label, errno))
    }

    /// Device and inode as proc(5) writes them in `/proc/locks`.
    pub(crate) fn identity(&self) -> Result<String, CgroupError> {
        let stat = rustix::fs::fstat(&self.fd)
            .map_err(|errno| CgroupError::refused("fstat", &self.label, errno))?;
        Ok(identity(stat.st_dev, stat.st_ino))
    }

    /// The directory `name`, made where it is not there yet.
    pub(crate) fn ensure(&self, name: &str) -> Result<Self, CgroupError> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.open(name),
            Err(errno) => Err(CgroupError::refused("mkdirat", self.name(name), errno)),
        }
    }

    /// Makes `name` and takes its lock, which nobody else can: of a directory that anybody may open, anybody may.
    ///
    /// Between the two a sweep may find it unlocked and remove it; the inode tells, and it is made
    /// again.
    pub(crate) fn claim(&self, name: &str) -> Result<Claim, CgroupError> {
        const ATTEMPTS: usize = 16;
        for _ in 0..ATTEMPTS {
            match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => return Ok(Claim::Exists),
                Err(errno) => {
                    return Err(CgroupError::refused("mkdirat", self.name(name), errno));
                }
            }
            let made = match self.open(name) {
                Ok(made) => made,
                Err(error) if error.errno == Errno::NOENT.raw_os_error() => continue,
                Err(error) => return Err(error),
            };
            if made.lock()? && self.leads_to(name, &made)? {
                return Ok(Claim::Made(made));
            }
        }
        Err(CgroupError::found(
            "mkdirat",
            self.name(name),
            "another process keeps removing it: end that process",
        ))
    }

    /// Takes the lock that makes this process the owner; says whether it was to be had.
    pub(crate) fn lock(&self) -> Result<bool, CgroupError> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(CgroupError::refused("flock", &self.label, errno)),
        }
    }

    pub(crate) fn leads_to(&self, name: &str, child: &Self) -> Result<bool, CgroupError> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(stat.st_ino == child.inode()?),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(CgroupError::refused("fstatat", self.name(name), errno)),
        }
    }

    /// Removes the empty directory `name`; one that is gone counts as removed.
    pub(crate) fn remove(&self, name: &str) -> Result<(), CgroupError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(CgroupError::refused("rmdir", self.name(name), errno)),
        }
    }

    /// The names of the directories in it.
    pub(crate) fn children(&self) -> Result<Vec<String>, CgroupError> {
        self.first_children(usize::MAX, |_| true)
    }

    /// As many of those as this that are asked for, whichever the kernel gives first. No more is read: whoever
    /// makes or removes a group beside them waits for as long as that takes.
    pub(crate) fn first_children(
        &self,
        most: usize,
        asked_for: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, CgroupError> {
        let failed = |errno| CgroupError::refused("getdents64", &self.label, errno);
        let mut names = Vec::new();
        let mut entries = rustix::fs::Dir::read_from(&self.fd).map_err(failed)?;
        while names.len() < most
            && let Some(entry) = entries.next()
        {
            let entry = entry.map_err(failed)?;
            if entry.file_type() != rustix::fs::FileType::Directory {
                continue;
            }
            // The supervisor makes only ASCII names; any other is nobody's business here.
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
                && asked_for(name)
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// A file of it, opened with these flags.
    pub(crate) fn file(&self, name: &str, flags: OFlags) -> Result<OwnedFd, CgroupError> {
        beneath(self.fd.as_fd(), Path::new(name), flags)
            .map_err(|errno| CgroupError::refused("openat2", self.name(name), errno))
    }

    /// All of a file.
    pub(crate) fn read(&self, name: &str) -> Result<String, CgroupError> {
        let file = self.file(name, OFlags::RDONLY)?;
        text(file.as_fd()).map_err(|errno| CgroupError::refused("read", self.name(name), errno))
    }

    /// Writes a value; the kernel takes it in one piece or not at all.
    pub(crate) fn write(&self, name: &str, value: &str) -> Result<(), CgroupError> {
        let file = self.file(name, OFlags::WRONLY)?;
        put(file.as_fd(), value)
            .map_err(|errno| CgroupError::refused("write", self.written(name, value), errno))
    }

    /// Writes a limit and reads it back: `holds` says whether what the kernel now holds is it.
    pub(crate) fn set(
        &self,
        name: &str,
        value: &str,
        holds: impl FnOnce(&str) -> bool,
    ) -> Result<(), CgroupError> {
        let file = self.file(name, OFlags::RDWR)?;
        put(file.as_fd(), value)
            .map_err(|errno| CgroupError::refused("write", self.written(name, value), errno))?;
        let now = text(file.as_fd())
            .map_err(|errno| CgroupError::refused("read", self.name(name), errno))?;
        if holds(now.trim()) {
            return Ok(());
        }
        Err(CgroupError::found(
            "compare",
            format!("{}, which now holds {}", self.written(name, value), now.trim()),
            "the kernel set another limit than requested: choose one that it accepts, or \"unlimited\"",
        ))
    }

    fn written(&self, name: &str, value: &str) -> String {
        format!("{} = {value}", self.name(name))
    }

    /// The processes listed in it. 0 stands for one that this PID namespace does not see.
    pub(crate) fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        Ok(self.read("cgroup.procs")?.lines().filter_map(|line| line.parse().ok()).collect())
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn identity(device: u64, inode: u64) -> String {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    format!("{major:02x}:{minor:02x}:{inode}")
}

fn beneath(dir: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::io::retry_on_intr(|| {
        rustix::fs::openat2(
            dir,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        )
    })
}

fn put(file: BorrowedFd<'_>, value: &str) -> Result<(), Errno> {
    let written = rustix::io::retry_on_intr(|| rustix::io::write(file, value.as_bytes()))?;
    if written == value.len() { Ok(()) } else { Err(Errno::IO) }
}

fn text(file: BorrowedFd<'_>) -> Result<String, Errno> {
    let mut bytes = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        // From the start, wherever a write left the offset.
        let offset = u64::try_from(bytes.len()).map_err(|_| Errno::FBIG)?;
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut chunk, offset))?;
        match chunk.get(..count) {
            None | Some([]) => break,
            Some(part) => bytes.extend_from_slice(part),
        }
    }
    String::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}
