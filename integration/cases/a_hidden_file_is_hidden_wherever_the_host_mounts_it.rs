//! What is hidden is so where the host has mounted it, the folder it is in, or something in it, at other places that are
//! granted too; and what shows nothing else is refused.

use anyhow::{Result, ensure};
use nix::mount::{MsFlags, mount, umount};
use sandboxd_integration::{Canary, Case, Inside, Outside};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case =
    Case { rows: &["F17", "F19"], outside, probes: &[("look", look)], ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for folder in ["data", "data/keys", "folder", "around"] {
        fs::create_dir(ws.join(folder))?;
    }
    fs::write(ws.join("one"), "")?;
    let canary = outside.canary("ws/data/keys/prod")?;
    let mounts = [("data/keys", "folder"), ("data", "around"), ("data/keys/prod", "one")];
    let none = None::<&str>;
    for (from, to) in mounts {
        mount(Some(&ws.join(from)), &ws.join(to), none, MsFlags::MS_BIND, none)?;
    }
    let tried = tried(outside, &ws, &canary);
    for (_, to) in mounts {
        umount(&ws.join(to))?;
    }
    tried
}

fn tried(outside: &Outside, ws: &Path, canary: &Canary) -> Result<()> {
    let look = |more: &str| {
        let profile = format!("extends = [\"builtin:base\"]\n[files]\nread = [{ws:?}]\n{more}\n");
        outside.sandbox(&profile).probe("look", &[ws.to_str().unwrap_or_default()]).run()
    };
    let shown = look("")?;
    for place in PLACES {
        ensure!(shown.ran()?.errno(place)? == 0, "{place} shows nothing that could be hidden");
    }
    let hide = format!("hide = [{:?}]", ws.join("data/keys"));
    let hidden = look(&hide)?;
    hidden.ran()?.keeps(canary)?;
    for place in PLACES {
        ensure!(hidden.errno(place)? != 0, "{place} shows what is hidden");
    }
    let bind = format!("bind = [{{ from = {:?}, to = \"/other\" }}]\n{hide}", ws.join("folder"));
    look(&bind)?.not_started()?.has_problem(&["/other", "files.hide covers"])?;
    canary.unchanged()
}

const PLACES: [&str; 4] = ["data/keys/prod", "folder/prod", "around/keys/prod", "one"];

fn look(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    for place in PLACES {
        if let Some(text) = inside.attempt(place, fs::read_to_string(ws.join(place))) {
            inside.fact(&format!("text of {place}"), &text);
        }
    }
    Ok(())
}
