//! What the host executes by a name of several parts is kept, and named where it comes into being, also where the granted
//! folder is the first of those parts.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::fs;

pub(crate) const CASE: Case = Case { rows: &["F18", "E5"], outside, by: By::Anybody, ..Case::NEW };

/// The folder that is granted, what is in it, and what is made in it.
const FOLDERS: &[(&str, &str, &str)] = &[
    (".claude", "settings.json", "hooks"),
    (".github", "workflows", "actions"),
    (".vscode", "tasks.json", "settings.json"),
    (".hg", "hgrc", ""),
];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for (folder, there, made) in FOLDERS {
        let kept = outside.file(&format!("ws/{folder}/{there}"), "mine")?;
        let granted = ws.join(folder);
        let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{granted:?}]\n");
        let script = format!(
            "cd {granted:?} && echo mine > plain && (echo evil >> {there}; rm -f {there}; mkdir -p {made:?}); :"
        );
        let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).run()?;
        run.exited(0)?;
        ensure!(fs::read_to_string(granted.join("plain"))? == "mine\n", "{folder} was not written");
        ensure!(fs::read_to_string(&kept)? == "mine", "{folder}/{there} was changed");
        let result = run.result.as_ref().context("no result")?;
        let named = result["may_execute"].as_array().context("no may_execute")?;
        let wanted = (!made.is_empty()).then(|| granted.join(made).display().to_string());
        let named: Vec<_> = named.iter().filter_map(|entry| entry.as_str()).collect();
        ensure!(named == Vec::from_iter(wanted.as_deref()), "{folder}: {named:?}");
    }
    Ok(())
}
