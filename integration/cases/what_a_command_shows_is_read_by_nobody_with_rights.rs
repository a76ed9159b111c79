//! What a command writes to its caller's terminal is read by a process that has no right, no file and
//! no third party to talk to: neither the supervisor's, nor the caller's, nor the command's. Where that
//! process ends, the run ends, and nothing more is shown.

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::{By, Case, Outside, Terminal, confined};
use std::fs;

pub(crate) const CASE: Case =
    Case { rows: &["T05", "X06"], seconds: 120, outside, by: By::Anybody, ..Case::NEW };

/// Shows more and more once it is told to.
const COMMAND: &str = "echo here; read word; while :; do echo unfiltered; sleep 0.05; done";

fn outside(outside: &Outside) -> Result<()> {
    let terminal = Terminal::new()?;
    let sandbox = outside
        .sandbox("extends = [\"builtin:base\"]\n")
        .command(&["/bin/sh", "-c", COMMAND])
        .terminal(&terminal, &[0, 1, 2]);
    let running = sandbox.start()?;
    terminal.shows("here")?;
    let filter = running.process(|command| command.ends_with("service terminal"))?;
    let command = running.process(|command| command.ends_with(COMMAND))?;
    confined(outside, filter, command, &[])?;
    has_three_streams(filter)?;

    kill(Pid::from_raw(filter), Signal::SIGKILL)?;
    terminal.types("go\n")?;
    let run = running.wait()?;
    run.exited(125)?;
    let shown = String::from_utf8_lossy(&terminal.rest()?).into_owned();
    ensure!(shown.contains("the terminal's filter ended"), "it is not said why: {shown:?}");
    ensure!(!shown.contains("unfiltered"), "it was shown past the filter: {shown:?}");
    Ok(())
}

/// Nothing is open but two pipes and a socket.
fn has_three_streams(filter: i32) -> Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir(format!("/proc/{filter}/fd"))? {
        open.push(fs::read_link(entry?.path())?.to_string_lossy().into_owned());
    }
    let of = |kind: &str| open.iter().filter(|target| target.starts_with(kind)).count();
    ensure!((open.len(), of("pipe:"), of("socket:")) == (3, 2, 1), "open: {open:?}");
    Ok(())
}
