//! What a server talks through: two pipes, pipe(7). A socket would be one of the host's network, whatever network its
//! holder is in: it tells of the host's interfaces, and takes a name there.

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};

/// The ends of one side.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// To read from.
    pub(crate) input: OwnedFd,
    /// To write to.
    pub(crate) output: OwnedFd,
}

impl Pipes {
    /// The broker's side, which waits for nothing, and the server's.
    ///
    /// # Errors
    /// Where there is no descriptor to be had.
    pub(crate) fn between() -> rustix::io::Result<(Self, Self)> {
        let (input, written) = pipe_with(PipeFlags::CLOEXEC)?;
        let (read, output) = pipe_with(PipeFlags::CLOEXEC)?;
        for own in [&input, &output] {
            fcntl_setfl(own, OFlags::NONBLOCK)?;
        }
        Ok((Self { input, output }, Self { input: read, output: written }))
    }

    /// In the order in which they are told.
    pub(crate) fn both(&self) -> [BorrowedFd<'_>; 2] {
        [self.input.as_fd(), self.output.as_fd()]
    }
}
