//! Who reads the lines of a client of `sandboxd mcp` has no right and no file; where it ends before its client does,
//! the server ends too, and it is said.

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::{By, Case, Outside, confined, patience};
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case { rows: &["B14"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let here = ws.join("here");
    // A server that does not look whether anybody asks.
    let server = format!("echo here > {}; while :; do /bin/sleep 1; done", here.display());
    let profile = format!(
        "extends = [\"builtin:mcp-server\"]\n[files]\nwrite = [{ws:?}]\n[serve]\ntools = [\"*\"]\n"
    );
    // A client that asks nothing and stays.
    let (theirs, _ours) = nix::unistd::pipe()?;
    let running = outside
        .sandbox(&profile)
        .verb("mcp")
        .command(&["/bin/sh", "-c", &server])
        .client(theirs)
        .start()?;
    let until = Instant::now() + patience(Duration::from_secs(30));
    while !here.exists() {
        ensure!(Instant::now() < until, "the server does not run");
        std::thread::sleep(Duration::from_millis(5));
    }
    let broker = running.process_to_come(|command| command.contains("service broker "))?;
    let command = running.process(|command| command.starts_with("/bin/sh"))?;
    // It writes to the client itself, and what is left of its limits into a file that it is given.
    confined(outside, broker, command, &["/stdout", "/limits/"])?;
    kill(Pid::from_raw(broker), Signal::SIGKILL)?;
    let run = running.wait()?;
    run.exited(125)?;
    ensure!(run.stderr.contains("the service broker ended"), "not said: {}", run.stderr);
    Ok(())
}
