//! A working directory, the caller's or the profile's, grants nothing.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;

pub(crate) const CASE: Case =
    Case { rows: &["E34"], outside, probes: &[("act", act)], by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("ws/notes")?;
    let argument = [ws.to_str().unwrap_or_default()];
    let profiles = [
        (String::from("extends = [\"builtin:base\"]\n"), true),
        (format!("extends = [\"builtin:base\"]\n[command]\ncwd = {ws:?}\n"), false),
        (String::from("extends = [\"builtin:base\"]\n[command]\ncwd = \"/etc\"\n"), true),
    ];
    for (profile, starts) in &profiles {
        let run = outside.sandbox(profile).cwd(&ws).probe("act", &argument).run()?;
        run.keeps(&canary)?;
        if *starts {
            run.ran()?.all_refused()?;
        } else {
            run.has_problem(&["command.cwd", "does not exist inside"])?;
        }
        canary.unchanged()?;
        ensure!(fs::read_dir(&ws)?.count() == 1, "something was made in the working directory");
    }
    Ok(())
}

fn act(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    if let Some(text) = inside.attempt("read", fs::read_to_string(ws.join("notes"))) {
        inside.fact("text", &text);
    }
    inside.attempt("write", fs::write(ws.join("notes"), "mine"));
    inside.attempt("create", fs::write(ws.join("new"), "x"));
    // Where it landed may be the sandbox's own; the observer sees whether it came out.
    inside.fact("here", &format!("{:?}", fs::write("new", "x")));
    Ok(())
}
