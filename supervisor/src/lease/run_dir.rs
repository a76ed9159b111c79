//! Directories of the supervisor's own state: `/run/sandboxd` and below.

use super::LeaseError;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A directory that nobody but the supervisor's user can look into, held by descriptor.
#[derive(Debug)]
pub struct RunDir {
    fd: OwnedFd,
    label: String,
}

impl RunDir {
    /// `/run/sandboxd`, made where it is not there yet.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub fn open() -> Result<Self, LeaseError> {
        Self::at(Path::new("/run"), "sandboxd")
    }

    /// The directory `name` of `parent`, made with mode 0700 where it is not there yet.
    ///
    /// # Errors
    /// Where it cannot be made, is a link or no directory, or somebody else owns it or may enter it;
    /// or where somebody else could put another in its place.
    pub fn at(parent: &Path, name: &str) -> Result<Self, LeaseError> {
        let label = parent.display().to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::io::retry_on_intr(|| rustix::fs::open(parent, flags, Mode::empty()))
            .map_err(|errno| LeaseError::refused("open", &label, errno, "create it"))?;
        let stat = rustix::fs::fstat(&parent)
            .map_err(|errno| LeaseError::refused("fstat", &label, errno, "see stat(2)"))?;
        let mine = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
        let sticky = stat.st_mode & 0o1000 != 0;
        if !mine || (stat.st_mode & 0o022 != 0 && !sticky) {
            return Err(LeaseError::found(
                "fstat",
                &label,
                "others can replace what lies in it: chown root and chmod go-w",
            ));
        }
        Self::below(parent.as_fd(), &label, name)
    }

    /// The directory `name` in this one, made with mode 0700 where it is not there yet.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub fn dir(&self, name: &str) -> Result<Self, LeaseError> {
        Self::below(self.fd.as_fd(), &self.label, name)
    }

    fn below(parent: BorrowedFd<'_>, above: &str, name: &str) -> Result<Self, LeaseError> {
        let label = format!("{}/{name}", above.trim_end_matches('/'));
        let refused = |call, errno| {
            LeaseError::refused(call, &label, errno, "run as root, or make /run writable")
        };
        // Opened first: it is there but for the first run after boot. umask(2) only takes away, and
        // what is left is looked at below.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = match beneath(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(refused("mkdirat", errno)),
                }
                beneath(parent, name, flags, Mode::empty())
            }
            other => other,
        };
        let fd = fd.map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => LeaseError::refused(
                "openat2",
                &label,
                errno,
                "it must be a directory, not a link: remove it",
            ),
            _ => refused("openat2", errno),
        })?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| refused("fstat", errno))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o7777 != 0o700 {
            return Err(LeaseError::found(
                "fstat",
                format!("{label}: owner {}, mode {:04o}", stat.st_uid, stat.st_mode & 0o7777),
                "find out who changed it, then restore it: chown it to the user that sandboxd runs as, and chmod 0700",
            ));
        }
        Ok(Self { fd, label })
    }

    /// Its path, for messages.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its descriptor.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// The names in it that are numbers.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn numbers(&self) -> Result<Vec<u32>, LeaseError> {
        let failed =
            |errno| LeaseError::refused("getdents64", &self.label, errno, "make /run readable");
        let mut numbers = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().ok();
            numbers.extend(name.and_then(|name| name.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The regular file `name` in it, made with mode 0600 where it is not there yet.
    ///
    /// # Errors
    /// Where it cannot be opened, is a link or no regular file, or belongs to somebody else.
    pub fn file(&self, name: &str, flags: OFlags) -> Result<OwnedFd, LeaseError> {
        let label = || format!("{}/{name}", self.label);
        let flags = flags | OFlags::CREATE | OFlags::NONBLOCK;
        let fd = beneath(self.fd.as_fd(), name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| {
            LeaseError::refused("openat2", label(), errno, "remove it if it is not a regular file; check that /run has free space and ulimit -n is not reached")
        })?;
        let stat = rustix::fs::fstat(&fd)
            .map_err(|errno| LeaseError::refused("fstat", label(), errno, "see stat(2)"))?;
        let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        if regular && stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_nlink == 1 {
            return Ok(fd);
        }
        Err(LeaseError::found(
            "fstat",
            label(),
            "it must be a regular file that belongs to the supervisor: remove it",
        ))
    }
}

impl AsFd for RunDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn beneath(dir: BorrowedFd<'_>, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::io::retry_on_intr(|| rustix::fs::openat2(dir, name, flags, mode, how))
}
