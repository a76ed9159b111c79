//! How long is waited for whoever has a secret: a bounded time, and while a run goes on, no longer than that does.

use super::Over;
use crate::sandbox::StartError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How long one may take, with whoever it asks: a start takes half a minute at most.
pub(super) const WITHIN: Duration = Duration::from_secs(20);

/// How long one is waited for.
#[derive(Clone, Copy)]
pub(super) struct Until<'o> {
    pub(super) time: Instant,
    pub(super) over: Over<'o>,
}

/// Why it is waited for no longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    Time,
    Over,
}

impl<'o> Until<'o> {
    /// From now on.
    pub(super) fn begin(over: Over<'o>) -> Self {
        Self { time: Instant::now() + WITHIN, over }
    }

    /// Waits until this can be read from.
    pub(super) fn wait(
        self,
        name: &str,
        awaited: &OwnedFd,
    ) -> Result<Result<(), Late>, StartError> {
        loop {
            let left = self.time.saturating_duration_since(Instant::now());
            let Ok(wait) = Timespec::try_from(left) else { return Ok(Err(Late::Time)) };
            // Asked for nothing, the first stands for an end of the run that nobody tells.
            let over = self.over.map_or_else(
                || PollFd::new(awaited, PollFlags::empty()),
                |over| PollFd::from_borrowed_fd(over, PollFlags::IN),
            );
            let mut fds = [over, PollFd::from_borrowed_fd(awaited.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(0) => return Ok(Err(Late::Time)),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(StartError::call("poll", name, errno)),
            }
            let [over, _] = fds.map(|fd| !fd.revents().is_empty());
            return Ok(if over && self.over.is_some() { Err(Late::Over) } else { Ok(()) });
        }
    }
}
