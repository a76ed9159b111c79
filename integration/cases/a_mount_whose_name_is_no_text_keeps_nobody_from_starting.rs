//! A mount whose name is no text, as an ordinary user can make by FUSE, keeps nobody from starting anything, and hides no
//! other mount.

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sandboxd_integration::{Case, Outside};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

pub(crate) const CASE: Case = Case { rows: &["F27", "F28", "X04"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let none: Option<&str> = None;
    let odd = outside.dir().join(OsStr::from_bytes(b"odd-\xff"));
    let door = outside.dir().join("folder/proc");
    fs::create_dir(&odd)?;
    fs::create_dir_all(&door)?;
    mount(Some("odd"), &odd, Some("tmpfs"), MsFlags::empty(), none).context("a mount")?;
    mount(Some("proc"), &door, Some("proc"), MsFlags::empty(), none).context("a proc")?;
    let usual = outside.sandbox("extends = [\"builtin:base\"]\n").command(&["/bin/true"]).run();
    let folder = outside.dir().join("folder");
    let shows = format!("extends = [\"builtin:base\"]\n[files]\nread = [{folder:?}]\n");
    let shows = outside.sandbox(&shows).command(&["/bin/true"]).run();
    umount2(&door, MntFlags::MNT_DETACH)?;
    umount2(&odd, MntFlags::MNT_DETACH)?;
    usual?.exited(0)?;
    let shows = shows?;
    shows.not_started()?;
    ensure!(shows.stderr.contains("folder/proc"), "it is not seen: {}", shows.stderr);
    Ok(())
}
