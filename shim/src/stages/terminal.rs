//! Make the terminal that the command has.
//!
//! Kernel: pty(7), ioctl_tty(2) `TIOCGPTPEER` (4.13), `TIOCSCTTY`.
//! Here because: after `root`, so that it comes from the sandbox's own devpts and has a name there;
//! before `split`, because only the leader of a session takes a terminal for it, and the command must
//! not be that leader: its group would be orphaned, and ^Z would not stop it.
//! Proves: [`Wired`].

use super::limits::Limited;
use crate::failure::At;
use crate::report;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Gid, Signal, Uid};
use rustix::pty::OpenptFlags;
use sandboxd_kernel::{fds, signals};
use sandboxd_plan::{Call, Failure, Identity, Report, Stage, Terminal};

const AT: At = At(Stage::Terminal);

/// Proof: standard input, output and error are what the plan says. The stream that is the terminal,
/// where one is.
#[must_use]
pub(crate) struct Wired(Option<i32>);

pub(crate) fn open(_: Limited, plan: Option<&Terminal>, user: Identity) -> Result<Wired, Failure> {
    let Some(plan) = plan else { return Ok(Wired(None)) };
    let path = &plan.multiplexer;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let other_end = rustix::fs::openat(CWD, path.as_str(), flags, Mode::empty())
        .map_err(AT.errno(Call::Open, path))?;
    rustix::pty::unlockpt(&other_end).map_err(AT.errno(Call::Ioctl, "TIOCSPTLCK"))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&other_end, flags)
        .map_err(AT.errno(Call::Ioctl, "TIOCGPTPEER"))?;
    give_to(&terminal, user)?;
    rustix::process::ioctl_tiocsctty(&terminal).map_err(AT.errno(Call::Ioctl, "TIOCSCTTY"))?;
    let first = place(&terminal, plan.streams)?;
    report::hand_over(&Report::Terminal, other_end.as_fd())
        .map_err(AT.errno(Call::Sendmsg, "report"))?;
    Ok(Wired(Some(first)))
}

/// Lets the command open its terminal by name. Where it has the uid that this process has, no
/// privilege is needed for that.
fn give_to(terminal: &OwnedFd, Identity { uid, gid, .. }: Identity) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::fchown(terminal, Some(uid), Some(gid)).map_err(AT.errno(Call::Chown, "terminal"))
}

/// Puts the terminal in the place of the streams that are it, and says which is the first.
fn place(terminal: &OwnedFd, streams: [bool; 3]) -> Result<i32, Failure> {
    let mut first = None;
    for (stream, _) in (0..).zip(streams).filter(|(_, is_it)| *is_it) {
        fds::copy_to(terminal.as_fd(), stream).map_err(AT.errno(Call::Fcntl, stream))?;
        first = first.or(Some(stream));
    }
    first.ok_or_else(|| AT.because(Call::Fcntl, "no stream is the terminal"))
}

/// Makes the caller's process group the one that reads from the terminal and that ^C and ^Z reach.
/// Called by the command's half, with signals as `split` leaves them.
pub(super) fn take_foreground(wired: &Wired) -> Result<(), Failure> {
    let Wired(Some(stream)) = wired else { return Ok(()) };
    let terminal = fds::inherited(*stream).map_err(AT.errno(Call::Fcntl, *stream))?;
    // Not yet the foreground, it would be stopped for asking, tcsetpgrp(3).
    signals::set_mask(1 << (Signal::TTOU.as_raw() - 1))
        .map_err(AT.errno(Call::Sigprocmask, "SIGTTOU"))?;
    rustix::termios::tcsetpgrp(terminal, rustix::process::getpgrp())
        .map_err(AT.errno(Call::Ioctl, "TIOCSPGRP"))
}
