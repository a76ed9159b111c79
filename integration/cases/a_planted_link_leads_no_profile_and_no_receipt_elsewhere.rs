//! A link that an earlier command planted leads `sandboxd` to no other profile and makes it write its
//! receipt nowhere else: nothing is started, and what the link points to stays as it was.

use anyhow::{Result, ensure};
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::os::unix::fs::{chown, symlink};

pub(crate) const CASE: Case = Case { rows: &["E6", "E25", "F04"], outside, ..Case::NEW };

const PROFILE: &str = "extends = [\"builtin:base\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let elsewhere = outside.file("elsewhere/wide.toml", PROFILE)?;
    chown(&elsewhere, Some(0), Some(0))?;
    let canary = outside.canary("elsewhere/receipt.json")?;

    let named = ws.join("agent.toml");
    symlink(&elsewhere, &named)?;
    let run = |path: &std::path::Path| {
        outside.bare().option("--profile").option(path).command(&["/bin/true"]).run()
    };
    run(&named)?.has_problem(&["agent.toml", "ELOOP"])?;
    // A folder on the way counts as well.
    symlink(elsewhere.with_file_name(""), ws.join("folder"))?;
    run(&ws.join("folder/wide.toml"))?.has_problem(&["wide.toml", "ELOOP"])?;
    run(&elsewhere)?.exited(0)?;

    let receipt = ws.join("folder/receipt.json");
    let refused = outside.sandbox(PROFILE).receipt(&receipt).command(&["/bin/true"]).run()?;
    refused.not_started()?;
    ensure!(refused.stderr.contains("ELOOP"), "not told: {}", refused.stderr);
    canary.unchanged()?;
    ensure!(fs::read_dir(elsewhere.with_file_name(""))?.count() == 2, "something was made there");
    Ok(())
}
