//! Where logs lie:
//!
//! ```text
//! lock                          taken while the index is written
//! index-2026-11-25.jsonl        the logs that were opened and closed, a file a day
//! live/LOG.0000.jsonl           logs whose supervisor lives, or was killed
//! 2026-11-25/LOG.0000.jsonl     segments that are whole, by the day on which they ended
//! ```

use crate::error::AuditError;
use crate::files;
use crate::writer::KEEP;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;
use std::time::Duration;

/// The folder of living logs.
pub(crate) const LIVE: &str = "live";

/// A folder of logs, held by descriptor. Whoever gives it has seen to it that nobody else can write it.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    label: String,
    keep: Duration,
}

/// The index is this process's, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held for what its end does")] OwnedFd);

impl Folder {
    /// This one, by the path that messages name.
    #[must_use]
    pub fn new(fd: OwnedFd, label: impl Into<String>) -> Self {
        Self { fd, label: label.into(), keep: KEEP }
    }

    /// The same, and logs in it are kept so long.
    #[must_use]
    pub fn keeping(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// How long logs are kept after they ended.
    pub(crate) const fn keep(&self) -> Duration {
        self.keep
    }

    /// The one at a path, to be read.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn at(path: &Path) -> Result<Self, AuditError> {
        let label = path.display().to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
            .map_err(|errno| AuditError::call("open", &label, errno))?;
        Ok(Self::new(fd, label))
    }

    /// Its path, for messages.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.label)
    }

    /// A folder in it, made where it is not there yet.
    pub(crate) fn dir(&self, name: &str) -> Result<Self, AuditError> {
        match self.existing(name)? {
            Some(dir) => Ok(dir),
            None => {
                let failed = |errno| AuditError::call("mkdirat", self.path(name), errno);
                match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(failed(errno)),
                }
                self.existing(name)?.ok_or_else(|| failed(Errno::NOENT))
            }
        }
    }

    /// A folder in it, where there is one.
    pub(crate) fn existing(&self, name: &str) -> Result<Option<Self>, AuditError> {
        match files::open(&self.fd, name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, label: self.path(name), keep: self.keep })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(AuditError::call("openat2", self.path(name), errno)),
        }
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str, flags: OFlags) -> Result<OwnedFd, AuditError> {
        let made = flags.contains(OFlags::CREATE);
        let mode = if made { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
        files::open(&self.fd, name, flags, mode)
            .map_err(|errno| AuditError::call("openat2", self.path(name), errno))
    }

    /// A file in it, where it is there.
    pub(crate) fn existing_file(
        &self,
        name: &str,
        flags: OFlags,
    ) -> Result<Option<OwnedFd>, AuditError> {
        match files::open(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(AuditError::call("openat2", self.path(name), errno)),
        }
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, AuditError> {
        self.first_names(usize::MAX)
    }

    /// As many of the names in it as this, whichever the file system gives first, sorted. No more is read.
    pub(crate) fn first_names(&self, most: usize) -> Result<Vec<String>, AuditError> {
        let failed = |errno| AuditError::call("getdents64", &self.label, errno);
        let mut names = Vec::new();
        let mut entries = Dir::read_from(&self.fd).map_err(failed)?;
        while names.len() < most
            && let Some(entry) = entries.next()
        {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().ok();
            names.extend(name.filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Waits until nobody else writes the index.
    pub(crate) fn lock(&self) -> Result<Lock, AuditError> {
        let file = self.file("lock", OFlags::RDWR | OFlags::CREATE)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
            .map_err(|errno| AuditError::call("flock", self.path("lock"), errno))?;
        Ok(Lock(file))
    }

    /// Waits until nobody writes the index, where it could be written at all.
    pub(crate) fn lock_to_read(&self) -> Result<Option<Lock>, AuditError> {
        let file = match files::open(&self.fd, "lock", OFlags::RDONLY, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(AuditError::call("openat2", self.path("lock"), errno)),
        };
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockShared))
            .map_err(|errno| AuditError::call("flock", self.path("lock"), errno))?;
        Ok(Some(Lock(file)))
    }

    /// Moves a file of this folder to another.
    pub(crate) fn rename(&self, name: &str, to: &Self) -> Result<(), AuditError> {
        rustix::fs::renameat(&self.fd, name, &to.fd, name)
            .map_err(|errno| AuditError::call("renameat", self.path(name), errno))
    }

    /// Removes a file of it.
    pub(crate) fn remove(&self, name: &str) -> Result<(), AuditError> {
        rustix::fs::unlinkat(&self.fd, name, rustix::fs::AtFlags::empty())
            .map_err(|errno| AuditError::call("unlinkat", self.path(name), errno))
    }

    /// Removes a folder in it that is empty.
    pub(crate) fn remove_dir(&self, name: &str) -> Result<(), AuditError> {
        rustix::fs::unlinkat(&self.fd, name, rustix::fs::AtFlags::REMOVEDIR)
            .map_err(|errno| AuditError::call("unlinkat", self.path(name), errno))
    }

    /// The same, for another thread.
    pub(crate) fn again(&self) -> Result<Self, AuditError> {
        Ok(Self { fd: self.shared()?, label: self.label.clone(), keep: self.keep })
    }

    /// Its descriptor, to be synced by another thread.
    pub(crate) fn shared(&self) -> Result<OwnedFd, AuditError> {
        self.fd.try_clone().map_err(|error| AuditError::io("fcntl", &self.label, &error))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a name is that of a day.
pub(crate) fn is_day(name: &str) -> bool {
    name.len() == 10 && crate::time::Stamp::parse(name).is_some()
}
