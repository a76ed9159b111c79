//! A uid of its own for each living sandbox.
//!
//! One file per uid in `/run/sandboxd/uids`. Its flock(2) says that a supervisor lives which holds
//! the uid; its content says whether anything of the sandbox may still live: `busy` from the moment
//! the uid is given out until the supervisor has verified that everything of it is gone. The kernel
//! drops the lock of a supervisor that is killed, and leaves the `busy`: such a uid is given out
//! again only once no process has it. The files are never removed, so that whoever opened one holds
//! the lock that everybody else tries.
//!
//! The first uid of the pool belongs to init of every sandbox, and is never given to a command.

mod abandoned;
mod run_dir;
mod settings;

pub use abandoned::Abandoned;
pub use run_dir::RunDir;
pub use settings::{Cgroups, Retention, Settings, Uids};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::fd::OwnedFd;

const BUSY: &[u8] = b"busy\n";
const FREE: &[u8] = b"free\n";

/// Where the last uid given out is remembered.
const LAST: &str = "last";

/// A lease, a directory of leases or their settings that are not as they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseError {
    /// The system call, or what was looked at.
    pub call: &'static str,
    /// On what.
    pub subject: String,
    /// The kernel's answer, errno(3); 0 where it was not asked.
    pub errno: i32,
    /// What to do.
    pub remedy: String,
}

impl LeaseError {
    fn refused(
        call: &'static str,
        subject: impl Into<String>,
        errno: Errno,
        remedy: impl Into<String>,
    ) -> Self {
        let errno = errno.raw_os_error();
        Self { call, subject: subject.into(), errno, remedy: remedy.into() }
    }

    fn found(call: &'static str, subject: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { call, subject: subject.into(), errno: 0, remedy: remedy.into() }
    }
}

impl std::error::Error for LeaseError {}

impl fmt::Display for LeaseError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}(\"{}\")", self.call, self.subject)?;
        if self.errno != 0 {
            write!(to, ": {}", std::io::Error::from_raw_os_error(self.errno))?;
        }
        write!(to, "\n  remedy  {}", self.remedy)
    }
}

/// The uids that sandboxes get.
#[derive(Debug)]
pub struct Pool {
    uids: Uids,
    dir: RunDir,
}

/// A uid that no other living sandbox has.
///
/// Dropping it leaves the uid busy: it is then given out again only after a look at every process
/// of the host. [`Self::release`] is for a sandbox of which nothing is left.
#[derive(Debug)]
pub struct Held {
    /// The uid, and gid, of the command.
    pub uid: u32,
    /// The uid, and gid, of init.
    pub init_uid: u32,
    file: OwnedFd,
}

impl Pool {
    /// The pool of these uids, kept in the directory `uids` of `run`.
    ///
    /// # Errors
    /// Where the directory cannot be made, or is not the supervisor's alone.
    pub fn open(uids: Uids, run: &RunDir) -> Result<Self, LeaseError> {
        uids.check()?;
        Ok(Self { uids, dir: run.dir("uids")? })
    }

    /// Gives out the next free uid after the one given out last, so that a uid comes back late.
    ///
    /// # Errors
    /// Where none is free, or a lease cannot be read or written.
    pub fn acquire(&self) -> Result<Held, LeaseError> {
        let first = self.uids.first + 1;
        let count = self.uids.count - 1;
        let start = self.last()?.map_or(0, |last| last.wrapping_sub(first).wrapping_add(1) % count);
        let mut occupied = 0;
        for step in 0..count {
            // Both are below 2^31, so the sum does not overflow.
            let uid = first + (start + step) % count;
            match self.take(uid)? {
                Take::Mine(file) => {
                    self.remember(uid)?;
                    return Ok(Held { uid, init_uid: self.uids.first, file });
                }
                Take::Locked => {}
                Take::Occupied => occupied += 1,
            }
        }
        Err(LeaseError::found(
            "acquire",
            format!(
                "{count} uids from {first}, {occupied} of them held by processes without a supervisor"
            ),
            "stop sandboxes, end the processes that still run under these uids, or raise [uids].count in /etc/sandboxd/config.toml",
        ))
    }

    fn take(&self, uid: u32) -> Result<Take, LeaseError> {
        let name = uid.to_string();
        let file = self.dir.file(&name, OFlags::RDWR)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Take::Locked),
            Err(errno) => return Err(self.failed("flock", &name, errno)),
        }
        if self.is_busy(&file, &name)? && lives(uid)? {
            return Ok(Take::Occupied);
        }
        put(&file, BUSY).map_err(|errno| self.failed("pwrite", &name, errno))?;
        Ok(Take::Mine(file))
    }

    /// Whether anything of the last one to have it may still live. Whoever made the file and died
    /// before writing had not given the uid out.
    fn is_busy(&self, file: &OwnedFd, name: &str) -> Result<bool, LeaseError> {
        let mut state = [0; 8];
        let length = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut state, 0))
            .map_err(|errno| self.failed("pread", name, errno))?;
        let state = state.get(..length).unwrap_or_default();
        Ok(!state.is_empty() && state != FREE)
    }

    /// The uid given out last. Written without a lock: parallel starts may each write theirs, and
    /// any of them is late enough.
    fn last(&self) -> Result<Option<u32>, LeaseError> {
        let file = self.dir.file(LAST, OFlags::RDWR)?;
        let mut text = [0; 16];
        let length = rustix::io::retry_on_intr(|| rustix::io::pread(&file, &mut text, 0))
            .map_err(|errno| self.failed("pread", LAST, errno))?;
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok());
        Ok(text.and_then(|text| text.trim().parse().ok()).filter(|last| self.uids.has(*last)))
    }

    fn remember(&self, uid: u32) -> Result<(), LeaseError> {
        let file = self.dir.file(LAST, OFlags::RDWR)?;
        // Of one width, so that a shorter number never keeps the end of a longer one.
        put(&file, format!("{uid:010}\n").as_bytes())
            .map_err(|errno| self.failed("pwrite", LAST, errno))
    }

    fn failed(&self, call: &'static str, name: &str, errno: Errno) -> LeaseError {
        LeaseError::refused(
            call,
            format!("{}/{name}", self.dir.label()),
            errno,
            "check that /run is a writable tmpfs with free space",
        )
    }
}

enum Take {
    Mine(OwnedFd),
    /// Its supervisor lives.
    Locked,
    /// Its supervisor is gone, and a process with this uid is not.
    Occupied,
}

impl Held {
    /// Gives the uid back. Only for a sandbox that was verified to be gone: every process ended, the
    /// cgroup removed.
    ///
    /// # Errors
    /// Where that cannot be written down; the uid then stays busy.
    pub fn release(self) -> Result<(), LeaseError> {
        put(&self.file, FREE).map_err(|errno| {
            LeaseError::refused(
                "pwrite",
                format!("lease of uid {}", self.uid),
                errno,
                "check that /run has free space",
            )
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a process that is just being started, on its way to its exec, has
        // a copy of the descriptor. Should this fail, the end of that copy unlocks it.
        rustix::fs::flock(&self.file, FlockOperation::Unlock).ok();
    }
}

fn put(file: &OwnedFd, bytes: &[u8]) -> Result<(), Errno> {
    let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, 0))?;
    if written == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

/// Whether any thread of the host has this uid: real, effective, saved or for files.
///
/// Two looks that find nobody, because a process that forks during one may hand on to a child with
/// a number that was passed already.
fn lives(uid: u32) -> Result<bool, LeaseError> {
    Ok(processes_with(&[uid])?.contains_key(&uid) || processes_with(&[uid])?.contains_key(&uid))
}

/// The processes that have any of these uids in one of their threads; one look.
fn processes_with(uids: &[u32]) -> Result<BTreeMap<u32, BTreeSet<u32>>, LeaseError> {
    let mut found: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for process in numbers("/proc")? {
        for thread in numbers(&format!("/proc/{process}/task"))? {
            let path = format!("/proc/{process}/task/{thread}/status");
            let status = match std::fs::read_to_string(&path) {
                Ok(status) => status,
                Err(error) if gone(&error) => continue,
                Err(error) => return Err(unread(&path, &error)),
            };
            for uid in uids.iter().filter(|uid| has_uid(&status, **uid)) {
                found.entry(*uid).or_default().insert(process);
            }
        }
    }
    Ok(found)
}

/// The entries of a directory of `/proc` that are numbers; none where the process is gone.
fn numbers(path: &str) -> Result<Vec<u32>, LeaseError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unread(path, &error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => {
                numbers.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()))
            }
            Err(error) if gone(&error) => break,
            Err(error) => return Err(unread(path, &error)),
        }
    }
    Ok(numbers)
}

fn gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::SRCH)
}

fn unread(path: &str, error: &std::io::Error) -> LeaseError {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::ILSEQ);
    LeaseError::refused("read", path, errno, "run where all of /proc can be read")
}

fn has_uid(status: &str, uid: u32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .is_none_or(|ids| ids.split_whitespace().any(|id| id.parse() == Ok(uid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_four_uids_counts_and_a_status_without_any_counts_as_all() {
        assert!(has_uid("Name:\tx\nUid:\t1\t2\t3\t4\n", 4));
        assert!(!has_uid("Name:\t5\nUid:\t1\t2\t3\t4\nGid:\t5\n", 5));
        assert!(has_uid("Name:\tx\n", 7));
    }
}
