//! Where whoever may approve calls comes in: a socket of each run that asks, in a folder that nobody but
//! the user of its supervisor can look into. The supervisor sees who connects, gives the stream to the
//! broker, and reads nothing of it.
//!
//! ```text
//!  sandboxd approve ─▶ FOLDER/approvals/RUN.socket ─▶ trusted: who is it? ─▶ broker (a service)
//! ```

mod asked;
mod folder;
mod next;
pub(crate) mod revocation;
pub(crate) mod rotation;
mod trusted;

pub(crate) use folder::{APPROVALS, REVOCATIONS, ROTATIONS, found, left, run_of, runs};
use trusted::trusted;
pub(crate) use trusted::{Approver, is_gone};

use crate::sandbox::StartError;
use crate::service::channel::Told;
use crate::thread::Thread;
use folder::Name;
use next::{deaf, next_stream};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::SocketFlags;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long nobody is let in once nobody can be.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is listened on, until this is let go of.
pub(crate) struct Control {
    /// Ended before the name is removed.
    thread: Thread<Vec<String>>,
    /// Removed at the end.
    _name: Name,
}

impl Control {
    /// Listens for whoever may approve the calls of this run, gives them to the broker at this line, and
    /// says who they are to whoever writes down what they decide.
    ///
    /// # Errors
    /// Where there is no folder for it that is the user's alone.
    pub(crate) fn open(run: &str, line: &OwnedFd, came: Approvers) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "the control socket", errno);
        let line = rustix::io::fcntl_dupfd_cloexec(line, 3).map_err(failed("fcntl"))?;
        let (socket, name) = folder::listen_for(&APPROVALS, run)?;
        let thread =
            Thread::begin("approvals", move |closed| serve(&closed, &socket, &line, &came))?;
        Ok(Self { thread, _name: name })
    }

    /// Lets nobody in any more, and tells what kept it from letting them in before.
    pub(crate) fn finish(mut self) -> Vec<String> {
        self.thread.finish()
    }
}

/// How many of those who came are known: far more than a broker listens to at once.
const KNOWN: usize = 1024;

/// Those who came to approve, by the numbers that the broker knows them by.
#[derive(Clone, Default)]
pub(crate) struct Approvers(Arc<Mutex<Came>>);

#[derive(Default)]
struct Came {
    last: u32,
    known: BTreeMap<u32, Approver>,
}

impl Approvers {
    fn came(&self) -> MutexGuard<'_, Came> {
        // Whoever panics ends this process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, and its number; nothing once there are no more numbers.
    fn add(&self, approver: Approver) -> Option<u32> {
        let mut came = self.came();
        came.last = came.last.checked_add(1)?;
        let number = came.last;
        came.known.insert(number, approver);
        if came.known.len() > KNOWN {
            came.known.pop_first();
        }
        Some(number)
    }

    /// Who has this number, where that is still known.
    ///
    /// # Errors
    /// Where nobody ever had it.
    pub(crate) fn get(&self, number: u32) -> Result<Option<Approver>, String> {
        let came = self.came();
        if number == 0 || number > came.last {
            return Err(format!("reported approver {number}, who never connected"));
        }
        Ok(came.known.get(&number).copied())
    }
}

/// Lets in whoever comes until the run is over, and tells what kept it from that.
fn serve(closed: &OwnedFd, socket: &OwnedFd, line: &OwnedFd, came: &Approvers) -> Vec<String> {
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let stream = match next_stream(closed, socket, Some(line), flags) {
            Ok(Some(stream)) => stream,
            Ok(None) => return Vec::new(),
            Err(why) => return vec![deaf(APPROVALS.name, &why)],
        };
        if let Some(number) = trusted(stream.as_fd()).ok().and_then(|one| came.add(one)) {
            // One that the broker does not take is closed, and asks again.
            Told::Approver(number).say(line.as_fd(), &[stream.as_fd()]).ok();
        }
    }
}
