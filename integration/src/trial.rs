//! One attempt in a child made for it, so that what kills or stops the child is an answer too.

use crate::raw;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

/// How long an attempt may take before it counts as waiting.
const PATIENCE: u16 = 400;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It was let through.
    Done,
    /// It was refused.
    Refused(Errno),
    /// The child was killed for it.
    Killed(Signal),
    /// It did not come back and was ended.
    Waits,
    /// The child ended without a word.
    Ended,
}

impl fmt::Display for Trial {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(into, "done"),
            Self::Refused(errno) => write!(into, "{errno:?}"),
            Self::Killed(signal) => write!(into, "{signal}"),
            Self::Waits => write!(into, "waits"),
            Self::Ended => write!(into, "ended"),
        }
    }
}

impl Trial {
    /// Makes the attempt in a child.
    ///
    /// # Errors
    /// Where there can be no child.
    pub fn of(attempt: impl FnOnce() -> nix::Result<i64>) -> io::Result<Self> {
        let (mut answer, tell) = io::pipe()?;
        let child = raw::fork(|| {
            let own = std::process::id();
            let number = |errno| io::Error::from(errno).raw_os_error().unwrap_or(libc::EILSEQ);
            let errno = attempt().map_or_else(number, |_: i64| 0);
            // An attempt that makes a process comes back twice.
            if std::process::id() != own {
                return 0;
            }
            u8::from((&tell).write_all(&errno.to_le_bytes()).is_err())
        })?;
        drop(tell);
        let mut ready = [PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
        let waits = poll(&mut ready, PollTimeout::from(PATIENCE))? == 0;
        if waits {
            kill(child, Signal::SIGKILL)?;
        }
        let mut errno = [0; 4];
        let told = !waits && answer.read_exact(&mut errno).is_ok();
        let status = waitpid(child, Some(nix::sys::wait::WaitPidFlag::__WALL))?;
        Ok(match (status, i32::from_le_bytes(errno)) {
            _ if waits => Self::Waits,
            (_, 0) if told => Self::Done,
            (_, errno) if told => Self::Refused(Errno::from_raw(errno)),
            (WaitStatus::Signaled(_, signal, _), _) => Self::Killed(signal),
            _ => Self::Ended,
        })
    }
}
