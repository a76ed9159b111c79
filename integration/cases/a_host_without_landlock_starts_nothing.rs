//! On a host without Landlock nothing is started, and what to do is said; unless the profile waives it.

use anyhow::{Result, ensure};
use sandboxd_integration::{Case, Inside, Need, Outside};

pub(crate) const CASE: Case = Case {
    rows: &["C06", "E4"],
    needs: &[Need::NoLandlock],
    outside,
    probes: &[("be", be)],
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("be", &[]).run()?;
    run.not_started()?;
    ensure!(run.stderr.contains("Landlock"), "the message does not name it: {}", run.stderr);
    ensure!(run.stderr.contains("remedy"), "there is no remedy: {}", run.stderr);
    let waived = "extends = [\"builtin:base\"]\n[require]\nlandlock = \"if-available\"\n";
    let run = outside.sandbox(waived).probe("be", &[]).run()?;
    // A kernel that has no Landlock because it is too old lacks more, and that is not waived.
    if run.exit() == Some(0) {
        ensure!(run.stderr.contains("waived by the profile"), "the run does not tell it");
    } else {
        run.not_started()?;
        ensure!(run.stderr.contains("remedy"), "there is no remedy: {}", run.stderr);
    }
    Ok(())
}

fn be(inside: &Inside) -> Result<()> {
    inside.fact("here", "yes");
    Ok(())
}
