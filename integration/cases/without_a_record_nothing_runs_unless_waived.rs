//! Where the audit log cannot be written nothing is run, unless the profile lets it and the run says so;
//! a disk that fills up meanwhile is told.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and a record that is not there fails the case"
)]

use anyhow::{Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sandboxd_integration::{Case, Outside, Sandbox};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case { rows: &["C06"], outside, ..Case::NEW };

const STATE: &str = "/var/lib/sandboxd";
const WAIVED: &str = "--set=require.audit=\"if-available\"";

fn outside(outside: &Outside) -> Result<()> {
    let run = || outside.bare().option("--profile=builtin:base");
    cover(MsFlags::MS_RDONLY, "mode=0700")?;
    refused(run(), "EROFS")?;
    let waived = run().option(WAIVED).command(&["/bin/true"]).run()?;
    waived.exited(0)?;
    ensure!(waived.stderr.contains("require.audit"), "nothing was said: {}", waived.stderr);
    umount2(STATE, MntFlags::MNT_DETACH)?;
    cover(MsFlags::empty(), "mode=0700,size=128k")?;
    fill()?;
    refused(run(), "ENOSPC")?;
    run().option(WAIVED).command(&["/bin/true"]).run()?.exited(0)?;
    fs::remove_file(Path::new(STATE).join("full"))?;
    run().command(&["/bin/true"]).run()?.exited(0)?;
    // It fills up while the command runs.
    let mut running = run().command(&["/bin/sh", "-c", "echo up; sleep 3"]).start()?;
    running.says("up")?;
    fill()?;
    let run = running.wait()?;
    run.exited(125)?;
    ensure!(run.stderr.contains("audit log"), "nothing was said: {}", run.stderr);
    ensure!(run.result.is_some_and(|result| result["exit"] == 0), "the result is not told");
    umount2(STATE, MntFlags::MNT_DETACH)?;
    Ok(())
}

fn cover(flags: MsFlags, data: &str) -> Result<()> {
    Ok(mount(Some("tmpfs"), STATE, Some("tmpfs"), flags, Some(data))?)
}

fn fill() -> Result<()> {
    // As much as there is room for, to the last page.
    let full = fs::write(Path::new(STATE).join("full"), vec![1; 1 << 20]);
    ensure!(full.is_err(), "the disk is not full");
    Ok(())
}

fn refused(sandbox: Sandbox<'_>, errno: &str) -> Result<()> {
    let run = sandbox.command(&["/bin/true"]).run()?;
    run.has_problem(&["require.audit", errno])?;
    ensure!(run.stderr.contains("if-available"), "no remedy: {}", run.stderr);
    Ok(())
}
