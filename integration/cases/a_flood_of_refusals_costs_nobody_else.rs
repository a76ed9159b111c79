//! A hundred thousand refusals of each kind, by the filter, by the mount view and by permission, fill no
//! log of sandboxd's, and neither they nor pages that are not yet on the disk hold the end of a run.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{self, File};
use std::io::Write as _;

pub(crate) const CASE: Case = Case {
    rows: &["R13", "R17"],
    seconds: 180,
    outside,
    probes: &[("flood", flood)],
    by: By::Anybody,
    ..Case::NEW
};

const REFUSALS: usize = 100_000;
/// Far more than is written back before the command ends.
const MEGABYTES: usize = 128;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let run = outside.sandbox(&profile).probe("flood", &[&ws.to_string_lossy()]).run()?;
    run.ran()?.refused("mount", &[Errno::EPERM])?.refused("open", &[Errno::ENOENT])?;
    run.refused("write", &[Errno::EACCES, Errno::EROFS])?;
    let said = run.stderr.lines().filter(|line| !line.contains("waived by the profile"));
    ensure!(said.count() == 0, "sandboxd said something of it: {}", run.stderr);
    ensure!(fs::metadata(ws.join("dirty"))?.len() == u64::try_from(MEGABYTES << 20)?, "cut short");
    Ok(())
}

fn flood(inside: &Inside) -> Result<()> {
    let none: Option<&str> = None;
    let (mut mounted, mut opened, mut written) = (Ok(()), Ok(()), Ok(()));
    for _ in 0..REFUSALS {
        mounted = mount(none, "/tmp", Some("tmpfs"), MsFlags::empty(), none);
        opened = File::open("/etc/shadow").map(drop);
        written = File::create("/usr/bin/new").map(drop);
    }
    inside.attempt("mount", mounted);
    inside.attempt("open", opened);
    inside.attempt("write", written);
    let mut file = File::create(inside.path(0)?.join("dirty"))?;
    let block = vec![0x5a; 1 << 20];
    for _ in 0..MEGABYTES {
        file.write_all(&block)?;
    }
    Ok(())
}
