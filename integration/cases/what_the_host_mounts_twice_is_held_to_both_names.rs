//! The audit log, the source of a secret and what is to be read are out of reach where the host has mounted them, or the
//! folder they are in, in a tree that is granted, too.

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount, umount};
use sandboxd_integration::{Case, Outside};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(crate) const CASE: Case = Case { rows: &["F08", "E21"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for folder in ["conf", "again", "state", "keys", "other"] {
        fs::create_dir(ws.join(folder))?;
    }
    let key = outside.file("keys/token", "a-key-of-nobody")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    std::os::unix::fs::chown(&key, Some(0), Some(0))?;
    let read = format!("read = [{:?}]", ws.join("conf"));
    let secret = format!(
        "[secrets.token]\nfrom = {:?}\ncredential = true",
        format!("file:{}", key.display())
    );
    let state = outside.audit().parent().context("no folder")?.to_owned();
    let keys = key.parent().context("no folder")?.to_owned();
    for (from, to, files, words) in [
        (state, "state", "", ["mounted twice", "sandboxd"]),
        (ws.join("conf"), "again", read.as_str(), ["may be written as", "again"]),
        (keys, "keys", secret.as_str(), ["the command could read", "token"]),
    ] {
        let profile = |write: &Path| {
            format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{write:?}]\n{files}\n")
        };
        // What is refused is not refused for anything else.
        let run = outside.sandbox(&profile(&ws)).command(&["/bin/true"]).run()?;
        run.exited(0)?;
        mount(Some(&from), &ws.join(to), None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        let refused = outside.sandbox(&profile(&ws)).command(&["/bin/true"]).run();
        let beside = outside.sandbox(&profile(&ws.join("other"))).command(&["/bin/true"]).run();
        umount(&ws.join(to))?;
        refused?.not_started()?.has_problem(&words)?;
        beside?.exited(0)?;
    }
    Ok(())
}
