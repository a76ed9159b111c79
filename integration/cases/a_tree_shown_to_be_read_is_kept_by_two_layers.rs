//! What is shown to be read outside the sandbox's own `/tmp` and home cannot be written, made in, removed
//! from or cut short, by its mount and by Landlock, each alone.
//!
//! Layers: the read-only mount; Landlock. Below `/tmp` and the home, whose rule covers what is shown in
//! them too, the mount alone.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(crate) const CASE: Case = Case {
    rows: &["F08", "F34"],
    outside,
    probes: &[("write", write)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let data = outside.workspace()?;
    let canary = outside.canary("ws/notes.txt")?;
    // Its mode lets everybody write: only the layers are to keep it.
    fs::set_permissions(&data, Permissions::from_mode(0o777))?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nbind = [{{ from = {data:?}, to = \"/data\", access = \"read\" }}]\n"
    );
    let run = outside.sandbox(&profile).probe("write", &[]).run()?;
    run.ran()?.allowed("read")?;
    for attempt in ["open", "truncate", "create", "mkdir", "remove", "rename"] {
        run.refused(attempt, &[Errno::EROFS, Errno::EACCES])?;
    }
    canary.unchanged()
}

fn write(inside: &Inside) -> Result<()> {
    let data = Path::new("/data");
    let file = data.join("notes.txt");
    inside.attempt("read", fs::read(&file));
    inside.attempt("open", OpenOptions::new().write(true).open(&file));
    inside.attempt("truncate", nix::unistd::truncate(&file, 0));
    inside.attempt("create", fs::write(data.join("new"), "x"));
    inside.attempt("mkdir", fs::create_dir(data.join("folder")));
    inside.attempt("remove", fs::remove_file(&file));
    inside.attempt("rename", fs::rename(&file, data.join("other")));
    Ok(())
}
