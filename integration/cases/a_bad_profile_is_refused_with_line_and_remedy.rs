//! A profile with problems starts nothing, and every problem is told with its line and its remedy.

use anyhow::Result;
use sandboxd_integration::{By, Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["X03"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let profile = "\
name = \"Not A Name\"
extends = [\"builtin:base\"]
[files]
raed = [\"/etc\"]
read = [\"relative\", \"/etc/../root\", \"/no/such/path\"]
[limits]
memory = -1
";
    let run = outside.sandbox(profile).command(&["/bin/echo", "ran"]).run()?;
    run.has_problem(&["profile.toml:1:", "name"])?
        .has_problem(&["profile.toml:4:", "raed"])?
        .has_problem(&["profile.toml:5:", "relative"])?
        .has_problem(&["profile.toml:5:", ".."])?
        .has_problem(&["profile.toml:7:", "limits.memory"])?;
    Ok(())
}
