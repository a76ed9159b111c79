//! A link that a command planted is not followed when a later profile names the path it lies at, not even in a folder
//! of root's below `/var` or `/opt`, where what the command makes is root's.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Canary, Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

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

    leads_nowhere(outside, &ws, &canary)?;
    if !outside.is_user() {
        for parent in ["/var/lib", "/opt"] {
            let own = Path::new(parent).join(format!("sandboxd-case-{}", std::process::id()));
            fs::create_dir(&own).with_context(|| own.display().to_string())?;
            let tried = planted_by_root(outside, &own, &secret, &canary);
            fs::remove_dir_all(&own)?;
            tried?;
        }
    }
    canary.unchanged()
}

/// In a folder of root's, where the command's own link is root's.
fn planted_by_root(outside: &Outside, ws: &Path, secret: &Path, canary: &Canary) -> Result<()> {
    fs::create_dir(ws.join("data"))?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let words = [ws, secret].map(|path| path.to_str().unwrap_or_default());
    outside.sandbox(&profile).probe("plant", &words).run()?.ran()?.allowed("plant")?;
    ensure!(fs::symlink_metadata(ws.join("data"))?.uid() == 0, "the link is not root's");
    leads_nowhere(outside, ws, canary)
}

fn leads_nowhere(outside: &Outside, ws: &Path, canary: &Canary) -> Result<()> {
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
        run.has_problem(&["link", data.to_str().unwrap_or_default()])?.keeps(canary)?;
    }
    Ok(())
}

fn plant(inside: &Inside) -> Result<()> {
    let (ws, secret) = (inside.path(0)?, inside.path(1)?);
    fs::rename(ws.join("data"), ws.join("old"))?;
    inside.attempt("plant", symlink(secret, ws.join("data")));
    Ok(())
}
