//! The table of mounts inside names no path of the host but those that were granted.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;

/// The root of a bind is told by the kernel and cannot be taken away: where the host has a granted
/// folder is what the command learns, even where it is shown at another place.
pub(crate) const CASE: Case =
    Case { rows: &["I03"], outside, probes: &[("look", look)], by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    outside.canary("private-folder/secret-name")?;
    outside.canary("ws/hidden-folder/key")?;
    let shown = outside.file("shown/file", "x")?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nhide = [{:?}]\n\
         bind = [{{ from = {:?}, to = \"/srv/shown\" }}]\n",
        ws.join("hidden-folder"),
        shown.parent().context("no parent")?,
    );
    let run = outside.sandbox(&profile).probe("look", &[]).run()?;
    let table = run.ran()?.fact("mountinfo")?;
    for secret in ["private-folder", "secret-name"] {
        ensure!(!table.contains(secret), "{secret}: {table}");
    }
    let own = outside.dir().display().to_string();
    for line in table.lines() {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next().unwrap_or("?"), fields.next().unwrap_or("?"));
        let granted = [&ws, &outside.dir().join("shown")].iter().any(|path| {
            let path = path.display().to_string();
            root.ends_with(&path) || root == format!("{path}/hidden-folder")
        });
        ensure!(!root.contains(&own) || granted, "{root} at {point}");
        ensure!(!point.contains("/run/sandboxd/uids"), "{line}");
    }
    ensure!(table.contains(" /srv/shown "), "the bind is not in the table: {table}");
    ensure!(run.fact("mounts")?.lines().count() == table.lines().count(), "two tables");
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    inside.fact("mountinfo", &fs::read_to_string("/proc/self/mountinfo")?);
    inside.fact("mounts", &fs::read_to_string("/proc/self/mounts")?);
    Ok(())
}
