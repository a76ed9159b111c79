//! Start from nothing: descriptors, signals, umask, keyring, parent death.
//!
//! Kernel: close_range(2) (5.9; to close at execve, 5.11), signal(7), session-keyring(7), prctl(2).
//! Here because: it is first. What the supervisor's own session was must not shape what follows.
//! Proves: [`Alone`].

use crate::failure::At;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Signal};
use sandboxd_kernel::{fds, keyring, process, signals};
use sandboxd_plan::{Call, Failure, Keyring, Session, Stage};

const AT: At = At(Stage::Session);

/// Proof: only the planned descriptors are open, and nothing of the caller's session is left.
#[must_use]
pub(crate) struct Alone(());

pub(crate) fn begin(plan: &Session) -> Result<Alone, Failure> {
    let granted =
        i32::try_from(plan.granted).map_err(|_| AT.because(Call::CloseRange, "granted"))?;
    let end = sandboxd_plan::fds::FIRST_GRANTED + granted;
    fds::close_from(end).map_err(AT.errno(Call::CloseRange, end))?;
    fds::close_on_exec_from(sandboxd_plan::fds::PLAN).map_err(AT.errno(Call::CloseRange, 3))?;
    signals::reset().map_err(AT.errno(Call::Sigaction, "all signals"))?;
    process::reset_personality().map_err(AT.errno(Call::Prctl, "personality"))?;
    rustix::process::umask(Mode::from_raw_mode(plan.umask));
    match plan.keyring {
        Keyring::New => {
            keyring::join_new_session().map_err(AT.errno(Call::Keyctl, "session keyring"))?;
        }
        Keyring::Unreachable => {}
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(AT.errno(Call::Prctl, "PR_SET_DUMPABLE"))?;
    rustix::process::setsid().map_err(AT.errno(Call::Setsid, "session"))?;
    die_with_supervisor()?;
    Ok(Alone(()))
}

/// The lifeline is what ends the sandbox; this covers the time until init listens to it.
fn die_with_supervisor() -> Result<(), Failure> {
    die_with_parent().map_err(AT.errno(Call::Prctl, "PR_SET_PDEATHSIG"))?;
    let lifeline =
        fds::inherited(sandboxd_plan::fds::LIFELINE).map_err(AT.errno(Call::Fcntl, "lifeline"))?;
    let mut ready = [PollFd::new(&lifeline, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // The supervisor may have ended before the line above, and then no signal comes.
    let gone = poll(&mut ready, Some(&now)).map_err(AT.errno(Call::Poll, "lifeline"))?;
    if gone == 0 { Ok(()) } else { Err(AT.because(Call::Poll, "the supervisor is gone")) }
}

/// Takes that back: this process has to see to its children when the parent ends.
pub(super) fn outlive_parent() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(None)
}

/// Asks for SIGKILL when the parent ends, prctl(2).
pub(super) fn die_with_parent() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}
