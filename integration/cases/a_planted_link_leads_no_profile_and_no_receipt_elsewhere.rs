//! A link that an earlier command planted leads `sandboxd` to no other profile and makes it write its
//! receipt nowhere else: nothing is started, and what the link points to stays as it was.

use anyhow::{Result, ensure};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, chown, symlink};

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

    // Nor is anything replaced that is no file: a device may be the whole host's.
    let null = outside.dir().join("null");
    mknod(&null, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3))?;
    let written = outside.sandbox(PROFILE).receipt(&null).command(&["/bin/true"]).run()?;
    written.exited(0)?;
    ensure!(fs::symlink_metadata(&null)?.file_type().is_char_device(), "the device is gone");
    let link = ws.join("receipt.json");
    symlink(canary.path(), &link)?;
    let refused = outside.sandbox(PROFILE).receipt(&link).command(&["/bin/true"]).run()?;
    refused.not_started()?;
    ensure!(refused.stderr.contains("is not replaced"), "not told: {}", refused.stderr);
    ensure!(fs::symlink_metadata(&link)?.is_symlink(), "the link is gone");
    canary.unchanged()
}
