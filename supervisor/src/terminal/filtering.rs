//! What goes through the filter, which is a service: what the command wrote goes to it, what may be
//! shown comes from it. Nothing of either is looked at here.

use super::piece::{Piece, attempt};
use crate::sandbox::channel::watched;
use crate::sandbox::{Audit, StartError};
use crate::service::terminal::{MOST_STATE, NAME, State};
use crate::service::{Service, Wanted};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use sandboxd_profiles::{Escape, Profile};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The filter and its streams.
pub(super) struct Filtering {
    service: Service,
    /// Where what the command wrote goes in; nothing once all of it did.
    pub(super) into: Option<AsyncFd<OwnedFd>>,
    /// Where what may be shown comes out; nothing once all of it did.
    pub(super) from: Option<AsyncFd<OwnedFd>>,
    states: OwnedFd,
    /// What waits to go in.
    pub(super) waiting: Piece,
    /// How the terminal is given back.
    pub(super) state: State,
}

impl Filtering {
    /// Begins to start the filter.
    ///
    /// # Errors
    /// Where its streams cannot be made.
    pub(super) fn begin(
        escapes: &[Escape],
        run: &Profile,
        audit: &Audit,
    ) -> Result<Self, StartError> {
        let failed = |errno| StartError::call("pipe2", "the terminal's filter", errno);
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(failed);
        let ((input, into), (from, output)) = (pipe()?, pipe()?);
        let (states, told) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
        for ours in [&into, &from, &states] {
            rustix::fs::fcntl_setfl(ours, rustix::fs::OFlags::NONBLOCK).map_err(failed)?;
        }
        let service = Service::begin(Wanted {
            name: NAME,
            arguments: escapes.iter().map(|escape| escape.name().to_owned()).collect(),
            run: run.clone(),
            audit: audit.clone(),
            streams: [input, output, told],
        })?;
        Ok(Self {
            service,
            into: Some(watched(into)?),
            from: Some(watched(from)?),
            states,
            waiting: Piece::default(),
            state: State::default(),
        })
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn started(&mut self) -> Result<(), StartError> {
        self.service.started()
    }

    /// Passes on what waits; once nothing does and nothing `more` comes, the filter is told so.
    pub(super) fn feed(&mut self, more: bool) {
        let Self { into, waiting, .. } = self;
        let Some(end) = into else { return waiting.clear() };
        match attempt(end, Interest::WRITABLE, |end| waiting.write(end)) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Ok(()) => {}
            // It is gone, which is seen at its other end.
            Err(_) => waiting.clear(),
        }
        if !more {
            self.into = None;
        }
    }

    /// Takes what may be shown, and how the terminal is given back after it; false where the filter
    /// ended though there may be more.
    pub(super) fn take(&mut self, chunk: usize, shown: &mut Vec<u8>) -> bool {
        let Some(end) = &self.from else { return true };
        let mut bytes = vec![0; chunk];
        match attempt(end, Interest::READABLE, |end| rustix::io::read(end, &mut *bytes)) {
            Err(Errno::AGAIN | Errno::INTR) => true,
            Ok(0) | Err(_) => {
                self.from = None;
                self.into.is_none()
            }
            Ok(read) => {
                shown.extend_from_slice(bytes.get(..read).unwrap_or_default());
                // It was sent before what it is about.
                self.hear()
            }
        }
    }

    fn hear(&mut self) -> bool {
        let mut packet = [0; MOST_STATE];
        loop {
            match rustix::io::read(&self.states, &mut packet) {
                Ok(read) if read > 0 => match State::decode(packet.get(..read).unwrap_or_default())
                {
                    Some(state) => self.state = state,
                    None => return false,
                },
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return true,
            }
        }
    }

    /// Ends it, and tells what could not be cleaned up.
    pub(super) fn end(&mut self) -> Vec<String> {
        self.service.end()
    }
}
