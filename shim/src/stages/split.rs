//! Init stays behind as PID 1; the command goes on as its child.
//!
//! Kernel: clone3(2) with a pidfd, pid_namespaces(7).
//! Here because: before `identity`, so that init gets a uid of its own and the command can neither
//! trace nor signal it; after everything that both share.
//! Proves: [`Half`], once on either side.

use super::identity;
use super::terminal::{Wired, take_foreground};
use crate::failure::At;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal};
use sandboxd_kernel::{fds, process, signals};
use sandboxd_plan::{Call, Exec, Failure, Stage};

const AT: At = At(Stage::Split);

/// Where a pinned program's descriptor lies from here on.
pub(crate) const PINNED: i32 = sandboxd_plan::fds::FIRST_GRANTED;

/// Proof: this process is init or the command, and holds that half's descriptors only.
#[must_use]
pub(crate) struct Half(());

/// Which of the two this is.
pub(crate) enum Side {
    /// PID 1, with the command it watches over.
    Init(Half, Command),
    /// The child.
    Command(Half),
}

/// The command, as init knows it.
pub(crate) struct Command {
    /// Its number in this pid namespace.
    pub(crate) pid: Pid,
    /// For the supervisor, which signals it.
    pub(crate) pidfd: OwnedFd,
    /// Readable when a child of init's changed state.
    pub(crate) children: OwnedFd,
}

pub(crate) fn split(wired: Wired, exec: &Exec) -> Result<Side, Failure> {
    keep_pinned_only(exec)?;
    identity::give_up_capabilities()?;
    // Made before the fork: a child that ends at once is not missed.
    let child_changed = 1 << (Signal::CHILD.as_raw() - 1);
    signals::set_mask(child_changed).map_err(AT.errno(Call::Sigprocmask, "SIGCHLD"))?;
    let children =
        signals::descriptor(child_changed).map_err(AT.errno(Call::Sigaction, "signalfd"))?;
    match process::fork().map_err(AT.errno(Call::Clone, "command"))? {
        process::Fork::Parent { pid, pidfd } => {
            if exec.pinned.is_some() {
                close(PINNED)?;
            }
            Ok(Side::Init(Half(()), Command { pid, pidfd, children }))
        }
        process::Fork::Child => {
            drop(children);
            // Init alone keeps the lifeline; the command has the report socket until it is executed.
            close(sandboxd_plan::fds::LIFELINE)?;
            // A group of its own in init's session: a group whose parent is in the same session is not
            // orphaned, and so can be stopped from a terminal (setpgid(2)).
            rustix::process::setpgid(None, None).map_err(AT.errno(Call::Setpgid, "command"))?;
            take_foreground(&wired)?;
            signals::set_mask(0).map_err(AT.errno(Call::Sigprocmask, "none"))?;
            Ok(Side::Command(Half(())))
        }
    }
}

/// Closes what was granted, which has done its work once the root is built, but for the program.
fn keep_pinned_only(exec: &Exec) -> Result<(), Failure> {
    let mut first_closed = sandboxd_plan::fds::FIRST_GRANTED;
    if let Some(number) = exec.pinned {
        let number = i32::try_from(number).map_err(|_| AT.because(Call::Fcntl, "pinned"))?;
        fds::move_to(number, PINNED).map_err(AT.errno(Call::Fcntl, "pinned"))?;
        first_closed = PINNED + 1;
    }
    fds::close_from(first_closed).map_err(AT.errno(Call::CloseRange, first_closed))
}

fn close(number: i32) -> Result<(), Failure> {
    fds::take(number).map_err(AT.errno(Call::Fcntl, number)).map(drop)
}
