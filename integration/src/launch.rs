//! Between the observer and the product: what must be so when `sandboxd` is executed, and that only
//! the process that executes it can arrange.

use crate::who::Player;
use crate::{Container, Fault, container, faults, raw};
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::IntoRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The first descriptor beyond the standard three.
const FIRST: i32 = 3;

/// How `sandboxd` is started.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// Where the result goes.
    pub(crate) result: PathBuf,
    pub(crate) faults: Vec<Fault>,
    /// `RLIMIT_NOFILE`.
    pub(crate) open_files: Option<u64>,
    /// Whether somebody else decides on every call.
    pub(crate) stepped: bool,
    /// The terminal of a session of its own.
    pub(crate) terminal: Option<PathBuf>,
    /// Which of standard input, output and error are that terminal.
    pub(crate) streams: Vec<i32>,
    /// Signals that are ignored.
    pub(crate) ignored: Vec<i32>,
    /// Variables that hold the number of the process that is `sandboxd`.
    pub(crate) own_number: Vec<String>,
    /// Sockets that it finds from descriptor 3 on, by the numbers under which the launcher has them.
    pub(crate) sockets: Vec<i32>,
    /// Whether it is as inside a container.
    pub(crate) container: Option<Container>,
}

impl Launch {
    /// The descriptor that the result is written to.
    pub(crate) fn result_fd(&self) -> i32 {
        self.sockets.iter().fold(FIRST, |number, _| number + 1)
    }
}

pub(crate) fn play(words: &[&str]) -> Result<ExitCode> {
    let [how, program, arguments @ ..] = words else { bail!("launch HOW PROGRAM ARGUMENTS") };
    let how: Launch = serde_json::from_str(how).context("how to launch")?;
    // Out of the way first: one may have the number that another gets.
    let sockets = how.sockets.iter().map(|socket| raw::copy_above(*socket, 100));
    let sockets = sockets.collect::<std::io::Result<Vec<i32>>>().context("a socket")?;
    for (number, socket) in (FIRST..).zip(sockets) {
        raw::place(socket, number).context("a socket")?;
    }
    let result = File::create(&how.result).context("the file of the result")?;
    raw::place(result.into_raw_fd(), how.result_fd()).context("the descriptor of the result")?;
    if let Some(path) = &how.terminal {
        nix::unistd::setsid().context("a session")?;
        // A leader of a session that opens a terminal which is nobody's gets it, tty_ioctl(4).
        let terminal = File::options().read(true).write(true).open(path);
        let terminal = terminal.with_context(|| path.display().to_string())?;
        for stream in &how.streams {
            let copy = terminal.try_clone()?;
            raw::place(copy.into_raw_fd(), *stream).context("a standard stream")?;
        }
    }
    // Whatever nohup(1), a shell without job control or a daemon had the harness ignore.
    for number in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGCHLD] {
        raw::ignore(number, how.ignored.contains(&number)).context("a signal")?;
    }
    if let Some(most) = how.open_files {
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most)?;
    }
    if (how.stepped || !how.faults.is_empty()) && Player::this() == Player::User {
        // Without privilege a filter is laid only around those who can gain none.
        nix::sys::prctl::set_no_new_privs().context("no_new_privs")?;
    }
    if !how.faults.is_empty() {
        faults::install(&how.faults).context("the faults")?;
    }
    if let Some(container) = how.container {
        container::enter(container).context("a container")?;
    }
    if how.stepped {
        faults::listen().context("the listener")?;
        // Until whoever decides has taken a copy of the listener, which closes with the execve below.
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP)?;
    }
    // The number stays with the execve.
    let own = std::process::id().to_string();
    let numbers = how.own_number.iter().map(|name| (name, &own));
    Err(Command::new(program).args(arguments).envs(numbers).exec()).context("execute sandboxd")
}
