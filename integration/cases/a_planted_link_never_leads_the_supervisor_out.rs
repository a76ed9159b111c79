//! Links planted in the workspace never make the supervisor change, show or own what they point to.

use anyhow::{Context as _, Result};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const CASE: Case = Case {
    rows: &["E6", "F03", "E5"],
    outside,
    probes: &[("act", act)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("elsewhere/hooks/post-commit")?;
    let elsewhere = outside.dir().join("elsewhere");
    let argument = [ws.to_str().unwrap_or_default()];

    // Names that the supervisor looks for in a workspace, to protect them.
    for name in [".git", ".vscode", ".claude", ".husky", ".mcp.json"] {
        symlink(&elsewhere, ws.join(name))?;
        for (protect, starts) in [("default", true), ("strict", false)] {
            let profile = format!(
                "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nprotect = {protect:?}\n"
            );
            let run = outside.sandbox(&profile).probe("act", &argument).run()?;
            run.keeps(&canary)?;
            // A link is not followed, and cannot be held either.
            if starts {
                run.ran()?
            } else {
                run.not_started()?
            };
            canary.unchanged().with_context(|| format!("{name}, {protect}"))?;
        }
        // Whatever the command made of it goes; the link is not followed.
        fs::remove_dir_all(&ws)?;
        outside.workspace()?;
    }

    // A hole that is a link is refused, and what it points to stays as it is.
    symlink(canary.path(), ws.join("secrets"))?;
    let hide = ws.join("secrets");
    let profile =
        format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nhide = [{hide:?}]\n");
    outside.sandbox(&profile).probe("act", &argument).run()?.keeps(&canary)?.not_started()?;
    canary.unchanged()?;

    fs::remove_dir_all(&ws)?;
    outside.workspace()?;
    // The receipt: where a link waits for it, nothing is started.
    let run = outside.sandbox("extends = [\"builtin:base\"]\n");
    let receipt = ws.join("receipt");
    symlink(canary.path(), &receipt)?;
    run.receipt(&receipt).command(&["/bin/true"]).run()?.not_started()?;
    canary.unchanged().context("the receipt was written through a link")
}

fn act(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    inside.fact("here", "yes");
    for name in [".git/hooks/post-commit", ".git/config", ".claude/settings.json", "secrets"] {
        if let Some(text) = inside.attempt(name, fs::read_to_string(ws.join(name))) {
            inside.fact(name, &text);
        }
        inside.attempt("write", fs::write(ws.join(name), "mine"));
    }
    Ok(())
}
