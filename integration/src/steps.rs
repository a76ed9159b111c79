//! Every call of a run, one by one, for an observer who lets it be made, makes it fail or kills
//! whoever makes it.

use crate::raw;
use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `sandboxd` itself, in its first process or a child that has not yet become the shim.
    Supervisor,
    /// The shim, before and after its split, init included.
    Shim,
    /// The command, or the launcher.
    Other,
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// By which program.
    pub program: Program,
    /// By which process of the host.
    pub process: Pid,
    /// Which call, `libc::SYS_…`.
    pub number: i32,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is made.
    Go,
    /// It fails with this errno, and is not made.
    Fail(Errno),
    /// Whoever makes it is killed.
    Kill,
    /// Whoever makes it is stopped, and it is made once that goes on.
    Stop,
    /// Nothing, for ever: it is neither made nor answered.
    Hold,
}

/// How long nothing may happen.
const SILENCE: Duration = Duration::from_secs(60);

/// Milliseconds after which it is looked whether the launched process has ended.
const LOOK_AGAIN: u16 = 50;

/// Follows a launched process and whatever it starts until all of them have ended. `reap` waits for it
/// without waiting: before Linux 6.11 a process that nobody has waited for still counts as watched.
pub(crate) fn follow(
    launched: Pid,
    mut reap: impl FnMut() -> Result<()>,
    mut decide: impl FnMut(&Step) -> Then,
) -> Result<()> {
    let listener = take_listener(launched)?;
    kill(launched, Signal::SIGCONT)?;
    let mut silent_since = Instant::now();
    loop {
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let count = match poll(&mut ready, PollTimeout::from(LOOK_AGAIN)) {
            Err(Errno::EINTR) => continue,
            polled => polled.context("poll the listener")?,
        };
        if count == 0 {
            let silent = silent_since.elapsed();
            ensure!(silent < SILENCE, "for {silent:?} the run neither made a call nor ended");
            reap()?;
            continue;
        }
        silent_since = Instant::now();
        let events = ready.first().and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            return Ok(());
        }
        let Some(notified) = unless_gone(raw::notified(listener.as_fd()))? else { continue };
        let process = Pid::from_raw(i32::try_from(notified.pid)?);
        let step = Step { program: program(process), process, number: notified.number };
        let errno = match decide(&step) {
            Then::Go => None,
            Then::Fail(errno) => Some(io::Error::from(errno).raw_os_error().unwrap_or(libc::EIO)),
            Then::Hold => continue,
            Then::Stop => {
                unless_gone(kill(process, Signal::SIGSTOP).map_err(io::Error::from))?;
                None
            }
            Then::Kill => {
                unless_gone(kill(process, Signal::SIGKILL).map_err(io::Error::from))?;
                continue;
            }
        };
        unless_gone(raw::answer(listener.as_fd(), notified.id, errno))?;
    }
}

/// Whoever waited for an answer may have been killed meanwhile.
fn unless_gone<T>(outcome: io::Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::EINTR)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("a call that waits"),
    }
}

/// The listener of a launcher, which stops once it has one.
fn take_listener(launched: Pid) -> Result<OwnedFd> {
    let stopped = waitpid(launched, Some(WaitPidFlag::WUNTRACED))?;
    ensure!(matches!(stopped, WaitStatus::Stopped(..)), "the launcher did not wait: {stopped:?}");
    for entry in fs::read_dir(format!("/proc/{launched}/fd"))? {
        let path = entry?.path();
        let Ok(link) = fs::read_link(&path) else { continue };
        if link.to_string_lossy().contains("seccomp notify") {
            let number = path.file_name().unwrap_or_default().to_string_lossy().parse()?;
            return raw::descriptor_of(launched, number).context("the listener");
        }
    }
    anyhow::bail!("the launcher has no listener")
}

fn program(process: Pid) -> Program {
    let Ok(exe) = fs::read_link(format!("/proc/{process}/exe")) else { return Program::Other };
    match exe.to_string_lossy() {
        name if name.contains("sandboxd-shim") => Program::Shim,
        name if name.ends_with("/sandboxd") => Program::Supervisor,
        _ => Program::Other,
    }
}

/// Of the calls made one after another, those worth a run each: the first few of every number, and
/// a few of the rest. Counted from 0.
#[must_use]
pub fn chosen(numbers: &[i32]) -> Vec<usize> {
    /// Of one number.
    const FIRST: usize = 4;
    /// Of the others, every which.
    const EVERY: usize = 25;
    let mut seen = std::collections::BTreeMap::new();
    let mut chosen = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        let times: &mut usize = seen.entry(number).or_default();
        *times += 1;
        if *times <= FIRST || at % EVERY == 0 {
            chosen.push(at);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_chosen_and_a_frequent_one_not_each_time() {
        let mut numbers = vec![7; 90];
        numbers.push(8);
        assert_eq!(chosen(&numbers), [0, 1, 2, 3, 25, 50, 75, 90]);
    }
}
