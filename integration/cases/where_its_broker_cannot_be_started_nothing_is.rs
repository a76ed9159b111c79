//! Where the broker of a command that calls cannot be started, nothing is, and it is said why.
//!
//! No uid is left for it, and these are root's to give.

use anyhow::{Result, ensure};
use sandboxd_integration::{Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["B14"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}");
    let start = || outside.sandbox(&profile).command(&["/bin/echo", "ran"]).run();
    start()?.exited(0)?;
    outside.leave_one_uid()?;
    let run = start()?;
    run.exited(125)?;
    ensure!(run.stdout.is_empty(), "it ran without its broker: {}", run.stdout);
    for words in ["service", "broker", "remedy"] {
        ensure!(run.stderr.contains(words), "{words:?} is not said: {}", run.stderr);
    }
    Ok(())
}
