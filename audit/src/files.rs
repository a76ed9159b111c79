//! Files that are only added to, each whole line or none of it.

use crate::error::AuditError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, ResolveFlags, SeekFrom};
use rustix::io::Errno;
use std::sync::Arc;

/// Opens a file of a folder, which no link leads out of.
pub(crate) fn open(
    folder: impl AsFd,
    name: &str,
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let folder = folder.as_fd();
    rustix::io::retry_on_intr(|| rustix::fs::openat2(folder, name, flags, mode, how))
}

/// A file that is added to.
#[derive(Debug)]
pub(crate) struct Appended {
    file: Arc<OwnedFd>,
    label: String,
    length: u64,
    /// A part of a line stands at its end and cannot be taken away.
    torn: bool,
}

impl Appended {
    /// From its end on.
    pub(crate) fn new(file: OwnedFd, label: String) -> Result<Self, AuditError> {
        let length = rustix::fs::seek(&file, SeekFrom::End(0))
            .map_err(|errno| AuditError::call("lseek", &label, errno))?;
        Ok(Self { file: Arc::new(file), label, length, torn: false })
    }

    /// The descriptor, to be synced by another thread.
    pub(crate) fn shared(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.file)
    }

    /// How many bytes it has.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// Takes it for this process, until the descriptor is closed. Whoever has it only looks whether
    /// somebody does.
    pub(crate) fn lock(&self) -> Result<(), AuditError> {
        rustix::io::retry_on_intr(|| rustix::fs::flock(&self.file, FlockOperation::LockExclusive))
            .map_err(|errno| AuditError::call("flock", &self.label, errno))
    }

    /// The same, where nobody else has it.
    pub(crate) fn try_lock(&self) -> Result<bool, AuditError> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(AuditError::call("flock", &self.label, errno)),
        }
    }

    /// Adds lines. Where not all of them can be written, none stays.
    pub(crate) fn append(&mut self, lines: &[u8]) -> Result<(), AuditError> {
        self.mend()?;
        let mut rest = lines;
        while !rest.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::write(&self.file, rest)) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(errno) => {
                    self.torn = true;
                    // What is told is why it could not be written.
                    self.mend().ok();
                    return Err(AuditError::call("write", &self.label, errno));
                }
            }
        }
        self.length += u64::try_from(lines.len()).unwrap_or(0);
        Ok(())
    }

    /// Takes away what a write that failed left.
    fn mend(&mut self) -> Result<(), AuditError> {
        if self.torn {
            self.cut(self.length)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Takes away everything from here on.
    pub(crate) fn cut(&mut self, length: u64) -> Result<(), AuditError> {
        rustix::fs::ftruncate(&self.file, length)
            .map_err(|errno| AuditError::call("ftruncate", &self.label, errno))?;
        rustix::fs::seek(&self.file, SeekFrom::Start(length))
            .map_err(|errno| AuditError::call("lseek", &self.label, errno))?;
        self.length = length;
        Ok(())
    }

    /// Its bytes from here on.
    pub(crate) fn tail(&self, from: u64) -> Result<Vec<u8>, AuditError> {
        read_from(&self.file, from).map_err(|errno| AuditError::call("pread", &self.label, errno))
    }

    /// Waits until it is on the disk.
    pub(crate) fn sync(&self) -> Result<(), AuditError> {
        sync(&self.file).map_err(|errno| AuditError::call("fdatasync", &self.label, errno))
    }
}

impl AsFd for Appended {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn read_from(file: &OwnedFd, from: u64) -> Result<Vec<u8>, Errno> {
    let (mut bytes, mut room) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let at = from + u64::try_from(bytes.len()).unwrap_or(0);
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *room, at))? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(room.get(..count).unwrap_or_default()),
        }
    }
}

/// Waits until a file or folder is on the disk.
pub(crate) fn sync(file: &OwnedFd) -> rustix::io::Result<()> {
    rustix::io::retry_on_intr(|| rustix::fs::fdatasync(file))
}
