//! A command starts with no signal ignored and none blocked, although its supervisor ignores some:
//! pipelines end, and children are waited for.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["T05"], outside, by: By::Anybody, ..Case::NEW };

/// Not a program of ours: the standard library of those ignores SIGPIPE by itself.
const STATUS: &[&str] = &["/bin/grep", "^Sig", "/proc/self/status"];
const NONE: &str = "0000000000000000";

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").command(STATUS).run()?;
    run.exited(0)?;
    for set in ["SigIgn", "SigBlk"] {
        let wanted = format!("{set}:\t{NONE}");
        ensure!(run.stdout.contains(&wanted), "not {wanted:?}: {}", run.stdout);
    }
    Ok(())
}
