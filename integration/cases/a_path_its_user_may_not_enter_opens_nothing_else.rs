//! A granted path that the sandbox's user may not enter costs that path at most: the start is
//! refused, or every other layer and rule holds.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

pub(crate) const CASE: Case =
    Case { rows: &["E4"], outside, probes: &[("look", look)], ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let locked = outside.canary("locked/secret")?;
    let folder = outside.dir().join("locked");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    chown(&folder, Some(0), Some(0))?;
    let other = outside.canary("other/secret")?;
    let paths = [
        locked.path().to_string_lossy().into_owned(),
        other.path().to_string_lossy().into_owned(),
        ws.to_string_lossy().into_owned(),
    ];
    let arguments = paths.each_ref().map(String::as_str);
    for granted in [&folder, &locked.path().to_path_buf()] {
        let profile =
            format!("extends = [\"builtin:base\"]\n[files]\nread = [{granted:?}, {ws:?}]\n");
        let run = outside.sandbox(&profile).probe("look", &arguments).run()?;
        run.keeps(&other)?;
        if run.exit() == Some(125) {
            run.not_started()?;
            let named = granted.to_string_lossy();
            ensure!(run.stderr.contains(&*named), "not for {named}: {}", run.stderr);
            continue;
        }
        run.ran()?.refused("other", &[Errno::ENOENT])?.allowed("granted")?;
        run.refused("shadow", &[Errno::ENOENT])?;
        run.refused("write", &[Errno::EACCES, Errno::EROFS])?;
    }
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    inside.attempt("locked", fs::read(inside.path(0)?));
    if let Some(text) = inside.attempt("other", fs::read_to_string(inside.path(1)?)) {
        inside.fact("text", &text);
    }
    inside.attempt("granted", fs::read_dir(inside.path(2)?));
    inside.attempt("write", fs::write(inside.path(2)?.join("new"), "x"));
    inside.attempt("shadow", fs::read("/etc/shadow"));
    Ok(())
}
