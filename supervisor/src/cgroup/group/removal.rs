//! The end of a group: it is emptied, waited for, and its directories are removed.

use super::Group;
use crate::cgroup::dir::Dir;
use crate::cgroup::{CgroupError, v1};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, Timespec};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a group may take to become empty after everything in it was killed. A process ends only
/// when it comes out of the kernel, and one that waits for a slow disk takes as long as the disk.
const REMOVE_WITHIN: Duration = Duration::from_secs(10);

/// No sandbox can make groups; deeper than this nobody else nests them below ours either.
const DEEPEST: usize = 32;

impl Group {
    /// Waits until nobody is in it; says whether that came before the deadline.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn wait_empty(&self, deadline: Instant) -> Result<bool, CgroupError> {
        let events = match &self.unified {
            Some(member) => Some(member.dir.file("cgroup.events", OFlags::RDONLY)?),
            None => None,
        };
        let mut pause = Duration::from_micros(200);
        loop {
            // The kernel tells of a change only after what was last read through this descriptor.
            if let Some(events) = &events {
                let mut text = [0; 64];
                rustix::io::pread(events, &mut text, 0)
                    .map_err(|errno| CgroupError::refused("pread", "cgroup.events", errno))?;
            }
            if self.is_empty()? {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            wait(events.as_ref().filter(|_| self.v1.is_empty()), pause.min(left), left)?;
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Ends whoever is left, waits, and removes every directory of the group.
    ///
    /// # Errors
    /// Where something in it does not end, or a directory cannot be removed; what is left is then
    /// found by the next [`sweep`](super::sweep()).
    pub fn remove(mut self) -> Result<(), CgroupError> {
        self.clear(REMOVE_WITHIN)
    }

    pub(super) fn clear(&mut self, within: Duration) -> Result<(), CgroupError> {
        self.settled = true;
        let deadline = Instant::now() + within;
        let mut patience = Duration::from_millis(20);
        while !self.is_empty()? {
            self.kill()?;
            let now = Instant::now();
            if !self.wait_empty(deadline.min(now + patience))? && now >= deadline {
                break;
            }
            patience *= 2;
        }
        // v1 first: until the unified directory is gone its lock says whose the rest is.
        let mut outcome = Ok(());
        for member in self.v1.iter().chain(&self.unified) {
            let removed = remove_tree(&member.container, &self.id, &member.dir, deadline, 0);
            outcome = outcome.and(removed);
        }
        outcome
    }
}

/// Sleeps for `pause`, or on a descriptor that tells of changes until it does, for `left` at most.
fn wait(events: Option<&OwnedFd>, pause: Duration, left: Duration) -> Result<(), CgroupError> {
    let Some(events) = events else {
        std::thread::sleep(pause);
        return Ok(());
    };
    let timeout = Timespec::try_from(left.min(Duration::from_secs(1))).ok();
    match poll(&mut [PollFd::new(events, PollFlags::PRI)], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(CgroupError::refused("poll", "cgroup.events", errno)),
    }
}

/// Removes a group whose processes were killed, with whatever groups are below it.
pub(crate) fn remove_tree(
    container: &Dir,
    name: &str,
    dir: &Dir,
    deadline: Instant,
    depth: usize,
) -> Result<(), CgroupError> {
    let mut pause = Duration::from_micros(100);
    loop {
        let error = match container.remove(name) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let busy = error.errno == Errno::BUSY.raw_os_error();
        if !busy || Instant::now() >= deadline || depth >= DEEPEST {
            return Err(error);
        }
        for child in dir.children()? {
            remove_tree(dir, &child, &dir.open(&child)?, deadline, depth + 1)?;
        }
        v1::kill_listed(dir)?;
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
