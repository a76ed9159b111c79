//! A link that a command planted is not followed when a later profile names the path it lies at.

use anyhow::Result;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const CASE: Case = Case {
    rows: &["F04", "E6", "E34"],
    outside,
    probes: &[("plant", plant)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.file("ws/data/key", "own")?;
    let canary = outside.canary("secret/key")?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let secret = outside.dir().join("secret");
    let words = [ws.to_str().unwrap_or_default(), secret.to_str().unwrap_or_default()];
    outside.sandbox(&profile).probe("plant", &words).run()?.ran()?.allowed("plant")?;
    // As if root had made it: who owns a link in a folder that others write says nothing.
    if !outside.is_user() {
        std::os::unix::fs::lchown(ws.join("data"), Some(0), Some(0))?;
    }

    let (data, key) = (ws.join("data"), ws.join("data/key"));
    for files in [
        format!("read = [{data:?}]"),
        format!("write = [{data:?}]"),
        format!("execute = [{key:?}]"),
        format!("read = [{{ path = {key:?}, optional = true }}]"),
        format!("bind = [{{ from = {data:?}, to = \"/shown\" }}]"),
        format!("write = [{ws:?}]\nhide = [{key:?}]"),
    ] {
        let profile = format!("extends = [\"builtin:base\"]\n[files]\n{files}\n");
        let shown = key.to_str().unwrap_or_default();
        let run = outside.sandbox(&profile).command(&["/bin/cat", shown, "/shown/key"]).run()?;
        run.has_problem(&["link", data.to_str().unwrap_or_default()])?.keeps(&canary)?;
    }
    canary.unchanged()
}

fn plant(inside: &Inside) -> Result<()> {
    let (ws, secret) = (inside.path(0)?, inside.path(1)?);
    fs::rename(ws.join("data"), ws.join("old"))?;
    inside.attempt("plant", symlink(secret, ws.join("data")));
    Ok(())
}
