//! Init reaps whatever loses its parent: thousands of orphans leave no zombie, and the limit of
//! processes does not fill with them.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};

pub(crate) const CASE: Case =
    Case { rows: &["P12"], outside, seconds: 120, by: By::Anybody, ..Case::NEW };

/// Far more than the sandbox may have processes.
const SCRIPT: &str = "i=0; while [ $i -lt 3000 ]; do (true &); i=$((i+1)); done; sleep 0.3; \
                      grep -l '^State:.Z' /proc/[0-9]*/status | wc -l; ls -d /proc/[0-9]* | wc -l";

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n[limits]\nprocesses = 64\n";
    let run = outside.sandbox(profile).command(&["/bin/sh", "-c", SCRIPT]).run()?;
    run.exited(0)?;
    let mut lines = run.stdout.lines().map(|line| line.trim().parse::<u32>());
    let (zombies, all) = lines.next().zip(lines.next()).context("two numbers")?;
    ensure!(zombies? == 0, "zombies are left");
    // Init, the shell, and the pipe that counts.
    ensure!(all? < 8, "processes are left");
    Ok(())
}
