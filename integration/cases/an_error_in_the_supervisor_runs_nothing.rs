//! Whatever call of the supervisor fails on the way to the command, with whatever errno, the command is
//! not run and the message says what failed; or it runs behind every layer.

use anyhow::Result;
use sandboxd_integration::{Case, Outside, Program, injected};

pub(crate) const CASE: Case = Case {
    rows: &["C05", "E33"],
    seconds: 600,
    outside,
    probes: &[("act", injected::act)],
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    // One that its runtime ends cleans nothing up; the next start does, and what that does not find.
    outside.leases_may_stay_busy();
    let tally = injected::inject(outside, Program::Supervisor, injected::is_confined)?;
    outside.bare().verb("doctor").option("--clean").run()?;
    outside.tell(&format!("{tally:?}"));
    Ok(())
}
