//! A workspace on a file system that cannot be idmapped is refused with a remedy, and the remedy
//! works.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sandboxd_integration::{Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

/// ramfs has no `FS_ALLOW_IDMAP`.
pub(crate) const CASE: Case =
    Case { rows: &["E4"], outside, probes: &[("write", write)], ..Case::NEW };

/// `nobody` on every host that has one; some user is needed whom the host knows by name.
const NOBODY: u32 = 65534;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let none: Option<&str> = None;
    mount(Some("none"), &ws, Some("ramfs"), MsFlags::MS_NODEV, none)?;
    let tried = on_ramfs(outside, &ws);
    umount2(&ws, MntFlags::MNT_DETACH)?;
    tried
}

fn on_ramfs(outside: &Outside, ws: &Path) -> Result<()> {
    chown(ws, Some(NOBODY), Some(NOBODY))?;
    let files = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let words = [ws.to_str().unwrap_or_default()];
    let run = outside.sandbox(&files).probe("write", &words).run()?;
    run.failed_in("root", "mount_setattr", Errno::EINVAL)?;
    for word in ["idmapped", "[command].user", ws.to_str().unwrap_or_default()] {
        ensure!(run.stderr.contains(word), "{word} is not told: {}", run.stderr);
    }
    ensure!(fs::read_dir(ws)?.next().is_none(), "the command ran");
    let named = format!("{files}[command]\nuser = \"nobody\"\n");
    outside.sandbox(&named).probe("write", &words).run()?.ran()?.allowed("write")?;
    let owner = fs::symlink_metadata(ws.join("new"))?.uid();
    ensure!(owner == NOBODY, "it belongs to {owner}");
    Ok(())
}

fn write(inside: &Inside) -> Result<()> {
    inside.attempt("write", fs::write(inside.path(0)?.join("new"), "x"));
    Ok(())
}
