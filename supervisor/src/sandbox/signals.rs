//! Signals of the supervisor's own, signal(7): which of them ask for the end, and which are the
//! command's to see. A service is told by nobody but the supervisor, by the end of a pipe.

use super::channel::watched;
use super::error::StartError;
use procfs::FromRead;
use procfs::process::Status;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::pidfd_send_signal;
use sandboxd_profiles::Hangup;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The end is asked for.
    Stop(u8),
    /// The command is told.
    Forward(u8),
    /// The command is to be stopped, and we with it.
    Suspend(u8),
    /// The command may want to read its configuration again.
    Reload,
}

impl Told {
    const fn number(self) -> u8 {
        match self {
            Self::Stop(number) | Self::Forward(number) | Self::Suspend(number) => number,
            Self::Reload => SIGHUP,
        }
    }
}

/// The signals that our caller had us ignore, bit n-1 for signal n: nohup(1) and shells without job
/// control do that, and mean the command.
fn ignored() -> u64 {
    Status::from_file("/proc/self/status").map_or(0, |status| status.sigign)
}

pub(super) const SIGHUP: u8 = 1;
const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGKILL: u8 = 9;
const SIGUSR1: u8 = 10;
const SIGUSR2: u8 = 12;
pub(super) const SIGTERM: u8 = 15;
pub(super) const SIGCONT: u8 = 18;
const SIGTSTP: u8 = 20;
pub(super) const SIGWINCH: u8 = 28;

const MEANINGS: [Told; 9] = [
    Told::Stop(SIGHUP),
    Told::Stop(SIGINT),
    Told::Stop(SIGQUIT),
    Told::Stop(SIGTERM),
    Told::Forward(SIGUSR1),
    Told::Forward(SIGUSR2),
    Told::Forward(SIGCONT),
    Told::Forward(SIGWINCH),
    Told::Suspend(SIGTSTP),
];

/// Sends the command's process group a signal, where there is one yet.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn send_to_group(command: Option<&OwnedFd>, number: u8) -> Result<(), StartError> {
    let Some(command) = command else { return Ok(()) };
    match sandboxd_kernel::process::signal_group(command.as_fd(), number) {
        // It has ended, which is what the next notice says.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(StartError::call("pidfd_send_signal", format!("signal {number}"), errno)),
    }
}

/// Sends the command SIGHUP, and nobody else of its group.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn send_hangup(command: Option<&OwnedFd>) -> Result<(), StartError> {
    let Some(command) = command else { return Ok(()) };
    match pidfd_send_signal(command, rustix::process::Signal::HUP) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(StartError::call("pidfd_send_signal", "SIGHUP", errno)),
    }
}

/// Who tells what becomes of the run.
pub(crate) enum Signals {
    /// The signals that are listened for, each with its meaning.
    Own(Vec<(Told, Signal)>),
    /// The supervisor, of whose services this is one; nothing once it has.
    Tie(Option<AsyncFd<OwnedFd>>),
}

impl Signals {
    /// Begins to listen: from here on none of them ends the supervisor by itself. What was ignored when
    /// it was started stays so.
    ///
    /// # Errors
    /// Where a handler cannot be installed.
    pub(crate) fn listen(hangup: Hangup) -> Result<Self, StartError> {
        let ignored = ignored();
        let meaning = |told| match (told, hangup) {
            (Told::Stop(SIGHUP), Hangup::Forward) => Told::Reload,
            _ => told,
        };
        MEANINGS
            .map(meaning)
            .iter()
            .filter(|told| ignored & (1 << (told.number() - 1)) == 0)
            .map(|told| {
                let number = told.number();
                let listened =
                    signal(SignalKind::from_raw(i32::from(number))).map_err(|error| {
                        StartError::io("sigaction", format!("signal {number}"), &error)
                    })?;
                Ok((*told, listened))
            })
            .collect::<Result<_, _>>()
            .map(Self::Own)
    }

    /// Waits for the end of a pipe alone.
    ///
    /// # Errors
    /// Where it cannot be waited on.
    pub(crate) fn tie(end: OwnedFd) -> Result<Self, StartError> {
        watched(end).map(|end| Self::Tie(Some(end)))
    }

    /// Waits until somebody asks for the end.
    pub(crate) async fn asked(&mut self) {
        while !matches!(self.next().await, Told::Stop(_)) {}
    }

    /// The next one that comes.
    pub(crate) async fn next(&mut self) -> Told {
        let own = match self {
            Self::Own(own) => own,
            Self::Tie(tie) => {
                let Some(end) = tie else { return std::future::pending().await };
                // Nothing is ever written to it, and waiting fails where the loop ends.
                drop(end.readable().await);
                *tie = None;
                return Told::Stop(SIGKILL);
            }
        };
        std::future::poll_fn(|context| {
            for (told, signal) in &mut *own {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*told);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
