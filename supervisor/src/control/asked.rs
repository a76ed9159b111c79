//! A socket of a run by which somebody outside asks for something, in one line, and is answered in one. Who it is, is
//! looked at before anything is read.

use super::folder::{self, Name, Sockets};
use super::next::{deaf, next_stream};
use super::trusted::{Approver, trusted};
use crate::sandbox::StartError;
use crate::thread::Thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::{read, retry_on_intr};
use rustix::net::{SendFlags, SocketFlags, send};
use serde_json::Value;

/// How long the line may take, each piece of it.
const WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// The longest line.
const LINE: usize = 512;

/// A socket that is listened on, until this is let go of.
pub(super) struct Asked {
    /// Ended before the name is removed.
    thread: Thread<Vec<String>>,
    /// Removed at the end.
    _name: Name,
}

impl Asked {
    /// Listens for whoever may ask, one after the other. `hear` is told who it is and the line without its end, has the
    /// stream to answer on, and can read from the last once the run is over.
    ///
    /// # Errors
    /// Where there is no folder for it that is the user's alone.
    pub(super) fn listen(
        kind: &Sockets,
        run: &str,
        mut hear: impl FnMut(Approver, &[u8], OwnedFd, &OwnedFd) + Send + 'static,
    ) -> Result<Self, StartError> {
        let (socket, file) = folder::listen_for(kind, run)?;
        let name = kind.name;
        let serve = move |closed| {
            loop {
                let stream = match next_stream(&closed, &socket, None, SocketFlags::CLOEXEC) {
                    Ok(Some(stream)) => stream,
                    Ok(None) => return Vec::new(),
                    Err(why) => return vec![deaf(name, &why)],
                };
                let Ok(who) = trusted(stream.as_fd()) else { continue };
                if let Some(line) = line(&stream, &closed) {
                    hear(who, &line, stream, &closed);
                }
            }
        };
        Ok(Self { thread: Thread::begin(name, serve)?, _name: file })
    }

    /// Lets nobody in any more, and tells what kept it from letting them in before.
    pub(super) fn finish(mut self) -> Vec<String> {
        self.thread.finish()
    }
}

/// Answers, and is done with whoever asked.
pub(crate) fn answer(stream: &OwnedFd, said: &Value) {
    // Whoever does not wait for the answer has had it done all the same.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    send(stream, said.to_string().as_bytes(), flags).ok();
}

/// The line that somebody says, in time and before the run is over. One that only looks who is there says none.
fn line(stream: &OwnedFd, closed: &OwnedFd) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    while said.len() < LINE {
        let mut fds = [PollFd::new(closed, PollFlags::IN), PollFd::new(stream, PollFlags::IN)];
        let waited = retry_on_intr(|| poll(&mut fds, Some(&WITHIN)));
        let [over, more] = fds.map(|fd| !fd.revents().is_empty());
        if waited.is_err() || over || !more {
            return None;
        }
        let mut piece = [0; LINE];
        let length =
            retry_on_intr(|| read(stream, &mut piece)).ok().filter(|length| *length > 0)?;
        said.extend_from_slice(piece.get(..length)?);
        if let Some(end) = said.iter().position(|byte| *byte == b'\n') {
            said.truncate(end);
            return Some(said);
        }
    }
    None
}
