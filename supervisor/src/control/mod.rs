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

use crate::sandbox::StartError;
use crate::service::channel::Told;
use folder::Name;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long nobody is let in once this process has no descriptor left.
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
    /// Listens for whoever may approve the calls of this run, and gives them to the broker at this line.
    ///
    /// # Errors
    /// Where there is no folder for it that is the user's alone.
    pub(crate) fn open(run: &str, line: &OwnedFd) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "the control socket", errno);
        let line = rustix::io::fcntl_dupfd_cloexec(line, 3).map_err(failed("fcntl"))?;
        let (socket, name) = folder::listen_for(run)?;
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (closed, closes) = rustix::pipe::pipe_with(flags).map_err(failed("pipe2"))?;
        let thread = std::thread::Builder::new()
            .name(String::from("approvals"))
            .spawn(move || serve(&closed, &socket, &line))
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

fn serve(closed: &OwnedFd, socket: &OwnedFd, line: &OwnedFd) {
    loop {
        let mut fds = [PollFd::new(closed, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let [over, connected] = fds.map(|fd| !fd.revents().is_empty());
        if over {
            return;
        }
        if !connected {
            continue;
        }
        match accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(stream) if is_trusted(stream.as_fd()).is_ok() => {
                // One that the broker does not take is closed, and asks again.
                Told::Approver.say(line.as_fd(), Some(stream.as_fd())).ok();
            }
            Ok(_) | Err(Errno::INTR | Errno::AGAIN | Errno::CONNABORTED) => {}
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                std::thread::sleep(PAUSE);
            }
            // Nobody can be asked any more: what waits is denied when its time is over.
            Err(_) => return,
        }
    }
}
