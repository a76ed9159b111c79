//! A uid that a living sandbox has is given to nobody else, even where it is the last one: the second
//! start is refused with a remedy, and works once the first has ended.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["C08", "X09", "R16"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    outside.leave_one_uid()?;
    let profile = "extends = [\"builtin:base\"]\n";
    let command = ["/bin/sh", "-c", "echo here; exec sleep 30"];
    let mut first = outside.sandbox(profile).command(&command).start()?;
    first.says("here")?;
    let second = outside.sandbox(profile).command(&["/bin/true"]).run()?;
    second.not_started()?;
    ensure!(second.stderr.contains("[uids].count"), "no remedy: {}", second.stderr);
    first.signal(Signal::SIGTERM)?;
    first.wait()?;
    outside.sandbox(profile).command(&["/bin/true"]).run()?.exited(0)?;
    Ok(())
}
