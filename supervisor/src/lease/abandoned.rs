//! Leases that a killed supervisor left busy.

use super::{FREE, LeaseError, Pool, lives, processes_with, put};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

/// A lease without a supervisor. Whoever holds this holds its lock.
#[derive(Debug)]
pub struct Abandoned {
    /// The uid.
    pub uid: u32,
    /// Processes that have it; none as a rule.
    pub processes: BTreeSet<u32>,
    file: OwnedFd,
}

impl Abandoned {
    /// Marks the uid as free, where nobody has it.
    ///
    /// # Errors
    /// Where somebody has it, or that cannot be written down.
    pub fn free(self) -> Result<(), LeaseError> {
        let label = format!("lease of uid {}", self.uid);
        if !self.processes.is_empty() {
            return Err(LeaseError::found(
                "flock",
                format!("{label}: held by processes {:?}", self.processes),
                "they are in none of sandboxd's cgroups, so it does not end them: find out what they are",
            ));
        }
        put(&self.file, FREE).map_err(|errno| {
            LeaseError::refused("pwrite", label, errno, "check that /run has free space")
        })
    }
}

impl Pool {
    /// The leases whose supervisor is gone, and how many there are whose supervisor lives. Nobody can
    /// take one of them while what this gives is held.
    ///
    /// # Errors
    /// Where a lease or the processes of the host cannot be looked at.
    pub fn abandoned(&self) -> Result<(Vec<Abandoned>, usize), LeaseError> {
        let mut found = Vec::new();
        let mut living = 0;
        for uid in self.dir.numbers()?.into_iter().filter(|uid| self.uids.has(*uid)) {
            match self.look(uid)? {
                Look::Busy(file) => found.push(Abandoned { uid, processes: BTreeSet::new(), file }),
                Look::Locked => living += 1,
                Look::Free => {}
            }
        }
        if found.is_empty() {
            return Ok((found, living));
        }
        let uids: Vec<u32> = found.iter().map(|one| one.uid).collect();
        // Two looks, as for one that is given out.
        for mut seen in [processes_with(&uids)?, processes_with(&uids)?] {
            for one in &mut found {
                one.processes.append(&mut seen.remove(&one.uid).unwrap_or_default());
            }
        }
        Ok((found, living))
    }

    /// Frees the lease of a sandbox of which everything was just removed.
    ///
    /// # Errors
    /// As [`Self::abandoned`].
    pub fn free(&self, uid: u32) -> Result<(), LeaseError> {
        if !self.uids.has(uid) {
            return Ok(());
        }
        match self.look(uid)? {
            Look::Busy(file) if !lives(uid)? => {
                Abandoned { uid, processes: BTreeSet::new(), file }.free()
            }
            Look::Busy(_) | Look::Locked | Look::Free => Ok(()),
        }
    }

    /// Whether this is the uid of a sandbox of which something may still live.
    ///
    /// # Errors
    /// As [`Self::abandoned`].
    pub fn is_held(&self, uid: u32) -> Result<bool, LeaseError> {
        match self.look(uid)? {
            Look::Locked => Ok(true),
            Look::Busy(_) => lives(uid),
            Look::Free => Ok(false),
        }
    }

    fn look(&self, uid: u32) -> Result<Look, LeaseError> {
        let name = uid.to_string();
        let file = self.dir.file(&name, OFlags::RDWR)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if self.is_busy(&file, &name)? => Ok(Look::Busy(file)),
            Ok(()) => Ok(Look::Free),
            Err(Errno::WOULDBLOCK) => Ok(Look::Locked),
            Err(errno) => Err(self.failed("flock", &name, errno)),
        }
    }
}

enum Look {
    Busy(OwnedFd),
    Locked,
    Free,
}
