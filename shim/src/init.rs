//! Init of the sandbox: it reaps, and it ends when the supervisor does.
//!
//! ```text
//! ready --child changes state--> exited or signaled --> end the rest, tell, _exit
//!   ├------lifeline at its end--> end the rest, _exit
//!   └------anything that fails--> end the rest, fail
//! ```
//!
//! Where it is PID 1 of a pid namespace, its own end ends the rest. Where it is not, it kills whatever
//! the command left, and goes only when nothing is left, see [`end_rest`].
//!
//! It reads nothing that the command can write: its only input is the kernel's word about its
//! children and the end of the lifeline.

use crate::failure::At;
use crate::report;
use crate::stages::seccomp::Sealed;
use crate::stages::split::{Command, End};
use core::convert::Infallible;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::SendFlags;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use sandboxd_kernel::{fds, process};
use sandboxd_plan::{Call, Failure, Notice, Stage};

const AT: At = At(Stage::Split);

/// Tells the supervisor that init is confined, hands it the command's pidfd, and watches until the
/// command or the supervisor ends.
pub(crate) fn ready(_: Sealed, command: Command) -> Result<Infallible, Failure> {
    let lifeline =
        fds::inherited(sandboxd_plan::fds::LIFELINE).map_err(AT.errno(Call::Read, "lifeline"))?;
    let Command { pid, end, pidfd, children } = command;
    report::pass(lifeline, &Notice::Ready.encode(), pidfd.as_fd())
        .map_err(AT.errno(Call::Sendmsg, "lifeline"))?;
    drop(pidfd);
    // The last word on the report socket is the command's: its end of file is the exec.
    drop(fds::take(sandboxd_plan::fds::REPORT).map_err(AT.errno(Call::Fcntl, "report"))?);
    let watched = watch(lifeline, pid, &children, &end);
    // It failed: a word that nobody is there to hear is the end of the supervisor too.
    end_rest(&end).and(watched).map_err(AT.errno(Call::Poll, "lifeline"))
}

fn watch(
    lifeline: BorrowedFd<'_>,
    command: Pid,
    children: &OwnedFd,
    end: &End,
) -> rustix::io::Result<Infallible> {
    loop {
        let mut ready =
            [PollFd::new(&lifeline, PollFlags::IN), PollFd::new(children, PollFlags::IN)];
        retry_on_intr(|| poll(&mut ready, None))?;
        let [supervisor, child] = &ready;
        if !supervisor.revents().is_empty() {
            // Nothing is ever sent to init, so this is the end of the supervisor, or its wish.
            end_rest(end)?;
            process::exit(0);
        }
        if !child.revents().is_empty() {
            drain(children)?;
            reap(lifeline, command, end)?;
        }
    }
}

/// Takes the pending signals, so that the descriptor is readable again only for a new one.
fn drain(children: &OwnedFd) -> rustix::io::Result<()> {
    let mut pending = [0_u8; 1024];
    match rustix::io::read(children, &mut pending) {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes in every child that changed state: the command, and whatever it left behind.
fn reap(lifeline: BorrowedFd<'_>, command: Pid, end: &End) -> rustix::io::Result<()> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    loop {
        let (pid, status) = match retry_on_intr(|| wait(options)) {
            Ok(Some(changed)) => changed,
            Ok(None) | Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error),
        };
        if pid != command {
            continue;
        }
        if let Some(notice) = notice(status) {
            if matches!(notice, Notice::Exited(_) | Notice::Signaled(_)) {
                end_rest(end)?;
                tell(lifeline, notice)?;
                process::exit(0);
            }
            tell(lifeline, notice)?;
        }
    }
}

/// Kills all that is left, and waits until it is gone. Every orphan is a child of init's, so nothing is
/// left once there is no child.
///
/// A fork is not done while SIGKILL is pending, fork(2), and the signal to everything is one step under
/// the kernel's lock of its process table: no storm of forks gets past it.
fn end_rest(end: &End) -> rustix::io::Result<()> {
    loop {
        match end {
            End::Exit => return Ok(()),
            End::Fenced => process::kill_everything()?,
        }
        if !reap_all()? {
            return Ok(());
        }
    }
}

/// Waits for one child, and takes in those that ended with it; whether there are any more.
fn reap_all() -> rustix::io::Result<bool> {
    let mut options = WaitOptions::empty();
    loop {
        match retry_on_intr(|| wait(options)) {
            Ok(Some(_)) => options = WaitOptions::NOHANG,
            Ok(None) => return Ok(true),
            Err(Errno::CHILD) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn notice(status: WaitStatus) -> Option<Notice> {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    if let Some(code) = status.exit_status() {
        return Some(Notice::Exited(byte(code & 0xff)));
    }
    if let Some(signal) = status.terminating_signal() {
        return Some(Notice::Signaled(byte(signal)));
    }
    if let Some(signal) = status.stopping_signal() {
        return Some(Notice::Stopped(byte(signal)));
    }
    status.continued().then_some(Notice::Continued)
}

fn tell(lifeline: BorrowedFd<'_>, notice: Notice) -> rustix::io::Result<()> {
    retry_on_intr(|| rustix::net::send(lifeline, &notice.encode(), SendFlags::NOSIGNAL)).map(drop)
}
