//! Files move and get second names within a workspace, and neither leave it nor enter it that way.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::path::Path;

/// Between the mounts the kernel answers `EXDEV`; Landlock alone would answer `EACCES`, or `EXDEV`
/// where a right would be gained.
pub(crate) const CASE: Case = Case {
    rows: &["F12", "F13", "F14"],
    outside,
    probes: &[("go", go)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/a/one", "one")?;
    outside.file("ws/a/tree/leaf", "leaf")?;
    outside.file("ws/b/two", "two")?;
    let canary = outside.canary("read/key")?;
    let read = outside.dir().join("read");
    let profile =
        format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nread = [{read:?}]\n");
    let words = [ws.to_str().unwrap_or_default(), canary.path().to_str().unwrap_or_default()];
    let run = outside.sandbox(&profile).probe("go", &words).run()?;
    run.ran()?;
    for attempt in ["across", "folder", "exchange", "second name", "unnamed"] {
        run.allowed(attempt)?;
    }
    for attempt in ["to tmp", "from tmp", "link read", "link usr", "link etc", "link tmp", "read"] {
        run.refused(attempt, &[Errno::EXDEV, Errno::EACCES, Errno::EROFS])?;
    }
    // Outside it is as the probe says.
    ensure!(fs::read_to_string(ws.join("b/moved"))? == "two", "not exchanged");
    ensure!(fs::read_to_string(ws.join("b/two"))? == "one", "not exchanged");
    ensure!(ws.join("b/tree/leaf").exists() && !ws.join("a/tree").exists(), "not moved");
    for name in ["key", "true", "passwd", "mine", "stolen"] {
        ensure!(!ws.join(name).exists(), "{name} came into the workspace");
    }
    canary.unchanged()
}

fn go(inside: &Inside) -> Result<()> {
    let (ws, key) = (inside.path(0)?, inside.path(1)?);
    inside.attempt("across", fs::rename(ws.join("a/one"), ws.join("b/moved")));
    inside.attempt("folder", fs::rename(ws.join("a/tree"), ws.join("b/tree")));
    inside.attempt("exchange", exchange(&ws.join("b/moved"), &ws.join("b/two")));
    inside.attempt("second name", fs::hard_link(ws.join("b/two"), ws.join("a/again")));
    let unnamed = std::os::unix::fs::OpenOptionsExt::custom_flags(
        fs::OpenOptions::new().write(true),
        libc::O_TMPFILE,
    )
    .open(ws);
    inside.attempt("unnamed", unnamed);
    inside.attempt("to tmp", fs::rename(ws.join("b/two"), "/tmp/two"));
    fs::write("/tmp/mine", "mine")?;
    inside.attempt("from tmp", fs::rename("/tmp/mine", ws.join("mine")));
    inside.attempt("link read", fs::hard_link(key, ws.join("key")));
    inside.attempt("link usr", fs::hard_link("/usr/bin/true", ws.join("true")));
    inside.attempt("link etc", fs::hard_link("/etc/passwd", ws.join("passwd")));
    inside.attempt("link tmp", fs::hard_link("/tmp/mine", ws.join("mine")));
    inside.attempt("read", fs::rename(key, ws.join("stolen")));
    Ok(())
}

fn exchange(one: &Path, other: &Path) -> nix::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}
