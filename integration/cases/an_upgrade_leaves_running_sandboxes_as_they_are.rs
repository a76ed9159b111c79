//! An upgrade leaves running sandboxes as they are: the program is replaced on disk, a new one starts
//! beside them, one supervisor is killed, and the others go on to their own end.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Inside, Outside, Running};
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["X10"],
    seconds: 120,
    outside,
    probes: &[("live", live)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    let ws = outside.workspace()?;
    let program = outside.dir().join("sandboxd");
    let beside = std::env::current_exe()?.with_file_name("sandboxd");
    fs::copy(&beside, &program)?;
    let killed = start(outside, &ws, &program)?;
    let mut old = start(outside, &ws, &program)?;
    // As a package manager does it: the new file takes the place of the old one.
    let new = outside.dir().join("sandboxd.new");
    fs::copy(&beside, &new)?;
    fs::rename(&new, &program)?;
    let mut new = start(outside, &ws, &program)?;
    killed.signal(Signal::SIGKILL)?;
    killed.wait()?;
    // Whoever starts next sweeps up after the killed one, and touches nobody else.
    let next = start(outside, &ws, &program)?;
    ensure!(old.lives()? && new.lives()?, "another one ended with it");
    fs::write(ws.join("go"), "go")?;
    for running in [old, new, next] {
        running.wait()?.ran()?;
    }
    Ok(())
}

fn start<'a>(outside: &'a Outside, ws: &Path, program: &Path) -> Result<Running<'a>> {
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let sandbox = outside.sandbox(&profile).probe("live", &[&ws.to_string_lossy()]);
    let mut running = sandbox.program(program).start()?;
    running.says("lives")?;
    Ok(running)
}

fn live(inside: &Inside) -> Result<()> {
    inside.fact("lives", "yes");
    for _ in 0..600 {
        if inside.path(0)?.join("go").exists() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("nobody said go")
}
