//! Waits until records are on the disk, and tells the broker, whose calls go on by it. In a thread of
//! its own: a disk takes milliseconds, and whoever does not wait for it goes on meanwhile.

use super::records::Written;
use crate::sandbox::StartError;
use crate::service::channel::Told;
use rustix::event::Timespec;
use rustix::fd::{AsFd, OwnedFd};
use sandboxd_audit::{AuditError, Commit};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// How many calls wait at once: more than a plan lets be in flight.
const MOST: usize = 1024;

/// How long a broker may leave no room for what it waits for: one commit is that of many calls.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Told of a record that is not on the disk.
type Unwritten = dyn Fn(AuditError) + Send + Sync;

/// Begins to wait once a call does.
pub(super) struct Durable {
    unwritten: Arc<Unwritten>,
    waiter: Option<Waiter>,
    /// Why it could not begin, the first time.
    why: Option<StartError>,
}

/// The thread.
struct Waiter {
    commits: Option<SyncSender<(u64, Commit)>>,
    thread: Option<JoinHandle<()>>,
}

impl Durable {
    pub(super) fn new(unwritten: impl Fn(AuditError) + Send + Sync + 'static) -> Self {
        Self { unwritten: Arc::new(unwritten), waiter: None, why: None }
    }

    /// Lets the call that waits for a record, of the broker at this line, go on once that is on the disk.
    ///
    /// # Errors
    /// Where too many wait.
    pub(super) fn settle(&mut self, line: &OwnedFd, written: Written) -> Result<(), String> {
        let (call, commit) = match written {
            Written::Yes => return Ok(()),
            Written::Not(call) => {
                not_written(line, call);
                return Ok(());
            }
            Written::Waits(call, commit) => (call, commit),
        };
        if self.waiter.is_none() {
            match Waiter::begin(line, &self.unwritten) {
                Ok(waiter) => self.waiter = Some(waiter),
                Err(why) => drop(self.why.get_or_insert(why)),
            }
        }
        match &self.waiter {
            None => not_written(line, call),
            Some(waiter) if waiter.waits(call, commit) => {}
            Some(_) => return Err(String::from("lets more calls wait than are allowed")),
        }
        Ok(())
    }

    /// Waits for what is on its way to the disk, and tells why nothing could be waited for.
    pub(super) fn close(&mut self) -> Option<String> {
        self.waiter = None;
        let why = self.why.take()?.line();
        Some(format!(
            "calls over durable edges were denied, because nothing could wait for the disk: {why}"
        ))
    }
}

fn not_written(line: &OwnedFd, call: u64) {
    // A broker that is gone or does not read refuses the call by itself.
    Told::Recorded { call, written: false }.say(line.as_fd(), &[]).ok();
}

impl Waiter {
    fn begin(line: &OwnedFd, unwritten: &Arc<Unwritten>) -> Result<Self, StartError> {
        let (commits, waiting) = sync_channel(MOST);
        let line = rustix::io::fcntl_dupfd_cloexec(line, 3)
            .map_err(|errno| StartError::call("fcntl", "the broker's channel", errno))?;
        let unwritten = Arc::clone(unwritten);
        let thread = std::thread::Builder::new()
            .name(String::from("durable"))
            .spawn(move || wait(&line, &*unwritten, &waiting))
            .map_err(|error| StartError::io("clone3", "durable", &error))?;
        Ok(Self { commits: Some(commits), thread: Some(thread) })
    }

    /// False where too many wait.
    fn waits(&self, call: u64, commit: Commit) -> bool {
        self.commits.as_ref().is_some_and(|commits| commits.try_send((call, commit)).is_ok())
    }
}

impl Drop for Waiter {
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
