//! Whatever call of the shim fails, with whatever errno, the command is not run and the message says what
//! failed; or it runs behind every layer.

use anyhow::Result;
use sandboxd_integration::{By, Case, Outside, Program, injected};

pub(crate) const CASE: Case = Case {
    rows: &["C05", "C07", "E8", "E33"],
    seconds: 600,
    outside,
    probes: &[("act", injected::act)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let tally = injected::inject(outside, Program::Shim, injected::is_confined)?;
    outside.tell(&format!("{tally:?}"));
    Ok(())
}
