//! One piece of what is carried, and waiting for the descriptors it goes between.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What was read and not yet written.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) written: usize,
}

impl Piece {
    pub(super) fn is_empty(&self) -> bool {
        self.written >= self.bytes.len()
    }

    /// Writes what it can.
    pub(super) fn write(&mut self, to: &OwnedFd) -> rustix::io::Result<()> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            self.written += rustix::io::write(to, rest)?;
        }
        self.clear();
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }
}

/// Waits until something can be done with a descriptor; for ever where there is none.
pub(super) async fn ready(end: Option<&AsyncFd<OwnedFd>>, interest: Interest) {
    match end {
        // What makes waiting fail makes the attempt that follows fail too.
        Some(end) => drop(end.ready(interest).await),
        None => std::future::pending().await,
    }
}

/// Does it, and notes where it cannot be done now.
pub(super) fn attempt<T>(
    end: &AsyncFd<OwnedFd>,
    interest: Interest,
    mut what: impl FnMut(&OwnedFd) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    end.try_io(interest, |end| what(end).map_err(std::io::Error::from))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
}

/// Whether a descriptor becomes ready in time.
pub(super) fn wait(end: &OwnedFd, flags: PollFlags, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).ok();
    let mut ready = [PollFd::new(end, flags)];
    left.is_some_and(|left| poll(&mut ready, Some(&left)).is_ok_and(|count| count > 0))
}
