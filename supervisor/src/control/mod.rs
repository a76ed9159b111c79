//! Where whoever may approve calls comes in: a socket of each run that asks, in a folder that nobody but
//! the user of its supervisor can look into. The supervisor sees who connects, gives the stream to the
//! broker, and reads nothing of it.
//!
//! ```text
//!  sandboxd approve ─▶ FOLDER/approvals/RUN.socket ─▶ trusted: who is it? ─▶ broker (a service)
//! ```

mod folder;
mod trusted;

pub(crate) use folder::found;
use trusted::is_trusted;

use crate::calls::Waits;
use crate::sandbox::StartError;
use crate::service::channel::{Heard, Told, Wish};
use folder::Name;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long nobody is let in once nobody can be.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is listened on, until this is let go of.
pub(crate) struct Control {
    /// Its end is the thread's.
    closes: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// Removed at the end.
    _name: Name,
}

impl Control {
    /// Listens for whoever may approve the calls of this run, and gives them to the broker at this line;
    /// hears there how many calls wait, where nobody else does.
    ///
    /// # Errors
    /// Where there is no folder for it that is the user's alone.
    pub(crate) fn open(
        run: &str,
        line: &OwnedFd,
        waits: Option<Waits>,
    ) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "the control socket", errno);
        let line = rustix::io::fcntl_dupfd_cloexec(line, 3).map_err(failed("fcntl"))?;
        let (socket, name) = folder::listen_for(run)?;
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (closed, closes) = rustix::pipe::pipe_with(flags).map_err(failed("pipe2"))?;
        let thread = std::thread::Builder::new()
            .name(String::from("approvals"))
            .spawn(move || serve(&closed, &socket, &Line { fd: line, waits }))
            .map_err(|error| StartError::io("clone3", "approvals", &error))?;
        Ok(Self { closes: Some(closes), thread: Some(thread), _name: name })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.closes = None;
        // Whoever panics ends this process.
        self.thread.take().map(JoinHandle::join);
    }
}

/// To the broker.
struct Line {
    fd: OwnedFd,
    waits: Option<Waits>,
}

impl Line {
    /// Hears what the broker says of calls that wait, which is all that it may say here; false once it is
    /// gone, or says something else.
    fn hear(&self) -> bool {
        let Some(waits) = &self.waits else { return false };
        match Heard::next(&self.fd) {
            Ok(Some(Heard::Wish(Wish::Waits(calls)))) => {
                waits(calls);
                true
            }
            Err(errno) => errno == Errno::AGAIN,
            Ok(Some(_) | None) => false,
        }
    }
}

fn serve(closed: &OwnedFd, socket: &OwnedFd, line: &Line) {
    let heard = if line.waits.is_some() { PollFlags::IN } else { PollFlags::empty() };
    loop {
        let mut fds = [
            PollFd::new(closed, PollFlags::IN),
            PollFd::new(socket, PollFlags::IN),
            PollFd::new(&line.fd, heard),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let [over, connected, said] = fds.map(|fd| !fd.revents().is_empty());
        if over || (said && !line.hear()) {
            return;
        }
        if !connected {
            continue;
        }
        match accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(stream) if is_trusted(stream.as_fd()).is_ok() => {
                // One that the broker does not take is closed, and asks again.
                Told::Approver.say(line.fd.as_fd(), Some(stream.as_fd())).ok();
            }
            Ok(_) | Err(Errno::INTR | Errno::AGAIN | Errno::CONNABORTED) => {}
            // Without a descriptor left, as a rule. Whoever waits goes on waiting.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
