//! A read-only path refuses writes.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, chown};

pub(crate) const CASE: Case = Case {
    rows: &["F08", "F09", "F34"],
    outside,
    probes: &[("write", write)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("ws/notes.txt")?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nread = [{ws:?}]\n");
    let run = outside.sandbox(&profile).probe("write", &[ws.to_str().unwrap_or_default()]).run()?;
    run.ran()?.allowed("read")?;
    for attempt in
        ["open", "truncate", "create", "mkdir", "chmod", "chown", "times", "remove", "rename"]
    {
        run.refused(attempt, &[Errno::EROFS, Errno::EACCES])?;
    }
    for attempt in ["usr", "etc", "root"] {
        run.refused(attempt, &[Errno::EROFS, Errno::EACCES])?;
    }
    canary.unchanged()
}

fn write(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let file = ws.join("notes.txt");
    inside.attempt("read", fs::read(&file));
    inside.attempt("open", OpenOptions::new().write(true).open(&file));
    inside.attempt("truncate", nix::unistd::truncate(&file, 0));
    inside.attempt("create", fs::write(ws.join("new"), "x"));
    inside.attempt("mkdir", fs::create_dir(ws.join("folder")));
    inside.attempt("chmod", fs::set_permissions(&file, fs::Permissions::from_mode(0o777)));
    inside.attempt("chown", chown(&file, Some(0), Some(0)));
    let zero = nix::sys::time::TimeVal::new(0, 0);
    inside.attempt("times", nix::sys::stat::utimes(&file, &zero, &zero));
    inside.attempt("remove", fs::remove_file(&file));
    inside.attempt("rename", fs::rename(&file, ws.join("other")));
    inside.attempt("usr", fs::write("/usr/x", "x"));
    inside.attempt("etc", fs::write("/etc/x", "x"));
    inside.attempt("root", fs::write("/x", "x"));
    Ok(())
}
