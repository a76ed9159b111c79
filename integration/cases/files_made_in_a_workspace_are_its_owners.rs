//! What the sandbox's user makes and changes in a workspace is the workspace owner's on disk, and
//! files of others in it stay out of reach.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::outside::OWNER;
use sandboxd_integration::{Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

pub(crate) const CASE: Case =
    Case { rows: &["F09", "V03"], outside, probes: &[("make", make)], ..Case::NEW };

/// Neither the owner, nor root, nor of the sandboxes' uids.
const OTHER: u32 = 1234;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let kept = outside.file("ws/kept", "of the owner")?;
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o600))?;
    for (name, uid) in [("root", 0), ("other", OTHER)] {
        let path = outside.file(&format!("ws/{name}"), "not yours")?;
        chown(&path, Some(uid), Some(uid))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    let run = outside
        .sandbox(&format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n"))
        .probe("make", &[ws.to_str().unwrap_or_default()])
        .run()?;
    run.ran()?;
    for attempt in ["change", "chmod", "file", "folder", "below", "link", "pipe", "second name"] {
        run.allowed(attempt)?;
    }
    for name in ["root", "other"] {
        run.refused(&format!("read {name}"), &[Errno::EACCES])?;
        run.refused(&format!("write {name}"), &[Errno::EACCES, Errno::EOVERFLOW])?;
    }
    run.refused("give to root", &[Errno::EPERM, Errno::EOVERFLOW])?;
    run.refused("give to other", &[Errno::EPERM, Errno::EOVERFLOW])?;
    // Inside the files are the sandbox's own.
    ensure!(run.fact("seen")? == run.fact("uid")?, "seen as {}", run.fact("seen")?);
    ensure!(run.fact("uid")? != OWNER.to_string(), "the sandbox has the owner's own uid");

    ensure!(fs::read_to_string(&kept)? == "changed", "not changed on disk");
    for name in ["kept", "file", "folder", "folder/below", "link", "pipe", "second"] {
        let found = fs::symlink_metadata(ws.join(name))?;
        let ids = (found.uid(), found.gid());
        ensure!(ids == (OWNER, OWNER), "{name} belongs to {ids:?}");
    }
    Ok(())
}

fn make(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    inside.attempt("change", fs::write(ws.join("kept"), "changed"));
    let mode = fs::Permissions::from_mode(0o640);
    inside.attempt("chmod", fs::set_permissions(ws.join("kept"), mode));
    inside.attempt("file", fs::write(ws.join("file"), "x"));
    inside.attempt("folder", fs::create_dir(ws.join("folder")));
    inside.attempt("below", fs::write(ws.join("folder/below"), "x"));
    inside.attempt("link", symlink("file", ws.join("link")));
    let rights = nix::sys::stat::Mode::S_IRWXU;
    inside.attempt("pipe", nix::unistd::mkfifo(&ws.join("pipe"), rights));
    inside.attempt("second name", fs::hard_link(ws.join("file"), ws.join("second")));
    for name in ["root", "other"] {
        inside.attempt(&format!("read {name}"), fs::read(ws.join(name)));
        inside.attempt(&format!("write {name}"), fs::write(ws.join(name), "x"));
    }
    inside.attempt("give to root", chown(ws.join("file"), Some(0), Some(0)));
    inside.attempt("give to other", chown(ws.join("file"), Some(OTHER), None));
    inside.fact("seen", &fs::symlink_metadata(ws.join("file"))?.uid().to_string());
    inside.fact("uid", &nix::unistd::getuid().to_string());
    Ok(())
}
