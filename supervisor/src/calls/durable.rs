//! Waits until records are on the disk, and tells the broker, whose calls go on by it. In a thread of
//! its own: a disk takes milliseconds, and whoever does not wait for it goes on meanwhile.

use crate::sandbox::StartError;
use crate::service::channel::Told;
use rustix::event::Timespec;
use rustix::fd::{AsFd, OwnedFd};
use sandboxd_audit::{AuditError, Commit};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// How many calls wait at once: more than a plan lets be in flight.
const MOST: usize = 1024;

/// How long a broker may leave no room for what it waits for: one commit is that of many calls.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Told of a record that is not on the disk.
pub(super) type Unwritten = Box<dyn Fn(AuditError) + Send>;

/// The thread.
pub(super) struct Durable {
    commits: Option<SyncSender<(u64, Commit)>>,
    thread: Option<JoinHandle<()>>,
}

impl Durable {
    /// Begins to wait, for the broker at this line.
    ///
    /// # Errors
    /// Where there is no thread or descriptor to be had.
    pub(super) fn begin(line: &OwnedFd, unwritten: Unwritten) -> Result<Self, StartError> {
        let (commits, waiting) = sync_channel(MOST);
        let line = rustix::io::fcntl_dupfd_cloexec(line, 3)
            .map_err(|errno| StartError::call("fcntl", "the broker's channel", errno))?;
        let thread = std::thread::Builder::new()
            .name(String::from("durable"))
            .spawn(move || wait(&line, &unwritten, &waiting))
            .map_err(|error| StartError::io("clone3", "durable", &error))?;
        Ok(Self { commits: Some(commits), thread: Some(thread) })
    }

    /// Lets a call go on once its record is on the disk; false where too many wait.
    pub(super) fn waits(&self, call: u64, commit: Commit) -> bool {
        self.commits.as_ref().is_some_and(|commits| commits.try_send((call, commit)).is_ok())
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        self.commits = None;
        // Whoever panics ends this process.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// In the order in which they were written, which is the order in which they get to the disk.
fn wait(line: &OwnedFd, unwritten: &Unwritten, waiting: &Receiver<(u64, Commit)>) {
    let mut heard = true;
    for (call, commit) in waiting {
        let written = commit.wait();
        let told = Told::Recorded { call, written: written.is_ok() };
        // To a broker that is gone or does not read, it is not told, and the call is refused.
        // One that did not is not waited for again until it does.
        let within = if heard { PATIENCE } else { Timespec::default() };
        heard = told.say_within(line.as_fd(), &[], within).is_ok();
        if let Err(error) = written {
            unwritten(error);
        }
    }
}
