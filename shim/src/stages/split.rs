//! Init stays behind; the command goes on as its child.
//!
//! Kernel: clone(2) with a pidfd, pid_namespaces(7); without a pid namespace prctl(2)
//! `PR_SET_CHILD_SUBREAPER` (3.4) and Landlock's scope of signals (6.12).
//! Here because: before `identity`, so that init gets a uid of its own and the command can neither
//! trace nor signal it; after everything that both share.
//! Proves: [`Half`], once on either side.

use super::identity;
use super::landlock;
use super::terminal::{Wired, take_foreground};
use crate::failure::At;
use core::ops::Range;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, getppid, set_child_subreaper, test_kill_process};
use sandboxd_kernel::{fds, process, signals};
use sandboxd_plan::{Call, Ending, Exec, Failure, Plan, Stage};

const AT: At = At(Stage::Split);

/// Where a pinned program's descriptor lies from here on; the command's sockets follow, or begin here.
pub(crate) const PINNED: i32 = sandboxd_plan::fds::FIRST_GRANTED;

/// Proof: this process is init or the command, and holds that half's descriptors only.
#[must_use]
pub(crate) struct Half(Bond);

/// What becomes of a half when its parent ends.
#[derive(Clone, Copy)]
pub(crate) enum Bond {
    /// It is killed: the command's half when init ends, and a PID 1 when the supervisor does.
    DiesWithParent,
    /// It goes on until it has killed its children, because no kernel does that for it.
    OutlivesParent,
}

impl Half {
    pub(super) fn bond(&self) -> Bond {
        self.0
    }
}

/// Which of the two this is.
pub(crate) enum Side {
    /// Init, with the command it watches over.
    Init(Half, Command),
    /// The child.
    Command(Half),
}

/// The command, as init knows it.
pub(crate) struct Command {
    /// Its number in this pid namespace.
    pub(crate) pid: Pid,
    /// How init ends what it started.
    pub(crate) end: End,
    /// For the supervisor, which signals it.
    pub(crate) pidfd: OwnedFd,
    /// Readable when a child of init's changed state.
    pub(crate) children: OwnedFd,
}

/// How init ends what it started, with what that takes.
pub(crate) enum End {
    /// By ending itself.
    Exit,
    /// With a signal to everything that it may signal.
    Fenced,
}

pub(crate) fn split(wired: Wired, plan: &Plan) -> Result<Side, Failure> {
    let exec = &plan.exec;
    let kept = keep(exec)?;
    identity::give_up_capabilities(plan.bounding)?;
    let (end, bond) = prepare_end(&plan.ending)?;
    // Before the fork: a child that ends at once is not missed. And all of them: where there is no pid namespace, init
    // would end by the hang-up of its terminal, or by a key, before what it started.
    signals::block_all().map_err(AT.errno(Call::Sigprocmask, "all"))?;
    let child_changed = 1 << (Signal::CHILD.as_raw() - 1);
    let children =
        signals::descriptor(child_changed).map_err(AT.errno(Call::Sigaction, "signalfd"))?;
    match process::fork().map_err(AT.errno(Call::Clone, "command"))? {
        process::Fork::Parent { pid, pidfd } => {
            kept.into_iter().try_for_each(close)?;
            Ok(Side::Init(Half(bond), Command { pid, end, pidfd, children }))
        }
        process::Fork::Child => {
            drop((children, end));
            // Init alone keeps the lifeline; the command has the report socket until it is executed.
            close(sandboxd_plan::fds::LIFELINE)?;
            // A group of its own in init's session: a group whose parent is in the same session is not
            // orphaned, and so can be stopped from a terminal (setpgid(2)).
            rustix::process::setpgid(None, None).map_err(AT.errno(Call::Setpgid, "command"))?;
            take_foreground(&wired)?;
            signals::set_mask(0).map_err(AT.errno(Call::Sigprocmask, "none"))?;
            Ok(Side::Command(Half(Bond::DiesWithParent)))
        }
    }
}

/// Binds to this process what it is going to start, as the plan says.
fn prepare_end(ending: &Ending) -> Result<(End, Bond), Failure> {
    let fence = match ending {
        Ending::PidNamespace => return Ok((End::Exit, Bond::DiesWithParent)),
        Ending::Domain { fence } => fence,
    };
    rustix::thread::set_no_new_privs(true).map_err(AT.errno(Call::Prctl, "PR_SET_NO_NEW_PRIVS"))?;
    landlock::restrict(fence, "the fence", AT)?;
    fence_holds()?;
    set_child_subreaper(Some(getpid())).map_err(AT.errno(Call::Prctl, "PR_SET_CHILD_SUBREAPER"))?;
    Ok((End::Fenced, Bond::OutlivesParent))
}

/// That the one signal to everything will reach nobody outside: the supervisor, who may be signalled as
/// far as users go, is out of reach.
fn fence_holds() -> Result<(), Failure> {
    let supervisor = getppid().ok_or_else(|| AT.because(Call::Kill, "the supervisor is gone"))?;
    match test_kill_process(supervisor) {
        Err(Errno::PERM) => Ok(()),
        Ok(()) => Err(AT.because(Call::Kill, "signals leave the sandbox")),
        Err(errno) => Err(AT.errno(Call::Kill, "supervisor")(errno)),
    }
}

/// Closes what was granted, which has done its work once the root is built, but for the program and then
/// the sockets; says where these are. They were granted last, so none is moved over another.
fn keep(exec: &Exec) -> Result<Range<i32>, Failure> {
    let mut kept = PINNED..PINNED;
    for number in exec.pinned.iter().chain(&exec.sockets) {
        let number = i32::try_from(*number).map_err(|_| AT.because(Call::Fcntl, "granted"))?;
        fds::move_to(number, kept.end).map_err(AT.errno(Call::Fcntl, number))?;
        kept.end += 1;
    }
    fds::close_from(kept.end).map_err(AT.errno(Call::CloseRange, kept.end))?;
    Ok(kept)
}

fn close(number: i32) -> Result<(), Failure> {
    fds::take(number).map_err(AT.errno(Call::Fcntl, number)).map(drop)
}
