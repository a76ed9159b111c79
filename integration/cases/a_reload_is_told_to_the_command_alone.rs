//! Where the profile says so, SIGHUP to `sandboxd` asks for nothing: the command is told, and nobody else of
//! its group. A terminal that is closed ends it all the same.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Outside, Terminal};
use std::time::Duration;

pub(crate) const CASE: Case =
    Case { rows: &["T05"], by: By::Anybody, seconds: 180, outside, ..Case::NEW };

const PROFILE: &str = "extends = [\"builtin:base\"]\n[command]\nhangup = \"forward\"\n";

fn outside(outside: &Outside) -> Result<()> {
    let shell = |text: &str| {
        let text = format!("{text}; echo ready; while :; do /bin/sleep 0.1; done");
        outside.sandbox(PROFILE).command(&["/bin/sh", "-c", &text])
    };
    // The child is in the command's group, and would die of it.
    let told =
        "/bin/sleep 1000 & trap 'n=1$n; kill -0 $! && echo again $n' HUP; trap 'exit 7' TERM";
    let mut running = shell(told).start()?;
    running.says("ready")?;
    for answer in ["again 1\n", "again 11\n", "again 111\n"] {
        running.signal(Signal::SIGHUP)?;
        running.says(answer)?;
        std::thread::sleep(Duration::from_millis(300));
    }
    ensure!(running.lives()?, "it ended with a signal that asks for nothing");
    running.signal(Signal::SIGTERM)?;
    running.wait()?.exited(7)?;

    let terminal = Terminal::new()?;
    let running = shell("trap '' HUP").terminal(&terminal, &[0, 1, 2]).start()?;
    terminal.shows("ready")?;
    drop(terminal);
    running.wait()?.exited(137)?;
    Ok(())
}
