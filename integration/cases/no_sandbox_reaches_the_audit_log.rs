//! No sandbox reaches the audit log: it is not granted, and where a user's folder is granted that holds
//! it, it is covered and cannot be moved.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

pub(crate) const CASE: Case = Case {
    rows: &["X04", "X07", "E21"],
    outside,
    probes: &[("reach", reach)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    // So that there is something to be reached.
    outside.bare().option("--profile=builtin:base").command(&["/bin/true"]).run()?.exited(0)?;
    let audit = outside.audit();
    let before = fs::read_dir(&audit)?.count();
    ensure!(before > 2, "the log is not there");
    let own = audit.display().to_string();
    let pins = audit.with_file_name("pins");
    if !pins.exists() {
        fs::create_dir(&pins)?;
    }
    fs::set_permissions(&pins, fs::Permissions::from_mode(0o700))?;
    if outside.is_user() {
        let (uid, gid) = outside.owner();
        chown(&pins, Some(uid), Some(gid))?;
    }
    for (key, path) in [("read", &audit), ("write", &audit), ("read", &pins), ("write", &pins)] {
        let profile = format!("extends = [\"builtin:base\"]\n[files]\n{key} = [{path:?}]\n");
        outside.sandbox(&profile).command(&["/bin/true"]).run()?.has_problem(&["sandboxd"])?;
    }
    let state = outside.state();
    let mut profile = String::from("extends = [\"builtin:base\"]\n");
    if state.exists() {
        // An ordinary user's own folder, with all that is in it.
        profile.push_str(&format!("[files]\nwrite = [{state:?}]\n"));
    }
    let run = outside.sandbox(&profile).probe("reach", &[&own]).run()?;
    run.ran()?;
    let kinds = [Errno::ENOENT, Errno::EACCES, Errno::EPERM, Errno::EROFS, Errno::EBUSY];
    for (what, errno) in run.attempts() {
        ensure!(kinds.contains(&Errno::from_raw(errno)), "{what}: {errno}");
    }
    for forged in
        [audit.join("live/forged"), audit.join("index-2026-01-01.jsonl"), pins.join("forged")]
    {
        ensure!(!forged.exists(), "{} was forged", forged.display());
    }
    outside.bare().waiving_nothing().verb("audit").option("verify").run()?.exited(0)?;
    Ok(())
}

fn reach(inside: &Inside) -> Result<()> {
    let own = inside.path(0)?;
    // Where it is covered there is a folder, with nothing in it.
    let seen = fs::read_dir(own).and_then(|mut found| found.next().ok_or(Errno::ENOENT.into()));
    inside.attempt("list the log", seen);
    inside.attempt("write into it", fs::write(own.join("live/forged"), "x"));
    inside.attempt("forge the index", fs::write(own.join("index-2026-01-01.jsonl"), "x"));
    inside.attempt("move it away", fs::rename(own, own.with_file_name("gone")));
    if let Some(parent) = own.parent() {
        let pins = fs::read_dir(parent.join("pins"));
        let seen = pins.and_then(|mut found| found.next().ok_or(Errno::ENOENT.into()));
        inside.attempt("list the pins", seen);
        inside.attempt("forge a pin", fs::write(parent.join("pins/forged"), "x"));
        inside.attempt("move its parent away", fs::rename(parent, parent.with_file_name("gone")));
    }
    Ok(())
}
