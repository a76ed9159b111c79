//! A command that fills its workspace with decoys does not switch protection off for the next run: what
//! cannot be searched whole is not started, and the message says why.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

pub(crate) const CASE: Case = Case {
    rows: &["F15", "E5", "E25"],
    outside,
    probes: &[("fill", fill), ("bury", bury)],
    by: By::Anybody,
    ..Case::NEW
};

/// More than a search lists.
const DECOYS: usize = 1100;
/// How deep folders of the longest name are put into one another, and how many lie there: with the names of those
/// above, more than a search keeps in mind, in a tree of far fewer entries than one may have.
const DEEP: usize = 15;
const BURIED: usize = 5_000;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let hook = outside.file("ws/.git/hooks/post-commit", "mine")?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let words = [ws.to_str().unwrap_or_default()];
    outside.sandbox(&profile).probe("fill", &words).run()?.ran()?.allowed("fill")?;
    let write = format!("echo evil >> {hook:?}");
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &write]).run()?;
    run.not_started()?.has_problem(&["too many entries to search"])?;
    ensure!(fs::read_to_string(&hook)? == "mine", "the hook was written");

    fs::remove_dir_all(&ws)?;
    outside.workspace()?;
    outside.sandbox(&profile).probe("bury", &words).run()?.ran()?.allowed("bury")?;
    let run = outside.sandbox(&profile).command(&["/bin/true"]).run()?;
    run.not_started()?.has_problem(&["too many entries to search"])?;
    fs::remove_dir_all(&ws)?;
    closed(outside, &profile)?;
    no_repository_any_more(outside, &profile)
}

/// A folder that cannot be read any more, and entered all the same: git on the host works on. Root reads it, and a user's
/// run is not started.
fn closed(outside: &Outside, profile: &str) -> Result<()> {
    let ws = outside.workspace()?;
    let hook = outside.file("ws/.git/hooks/post-commit", "mine")?;
    let git = ws.join(".git");
    let run = |command: &[&str]| outside.sandbox(profile).command(command).run();
    run(&["/bin/chmod", "311", git.to_str().unwrap_or_default()])?.exited(0)?;
    let write = format!("echo evil >> {hook:?}; true");
    let written = run(&["/bin/sh", "-c", &write])?;
    if outside.is_user() {
        let told = git.display().to_string();
        written.not_started()?.has_problem(&[&told, "cannot be read"])?;
    }
    ensure!(fs::read_to_string(&hook)? == "mine", "the hook was written");
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755))?;
    run(&["/bin/sh", "-c", &write])?.exited(0)?;
    ensure!(fs::read_to_string(&hook)? == "mine", "the hook was written once it could be read");
    Ok(())
}

/// What makes a folder a repository is nothing that is kept: that it is none any more is told.
fn no_repository_any_more(outside: &Outside, profile: &str) -> Result<()> {
    let ws = outside.workspace()?;
    for file in ["HEAD", "config", "objects/o", "refs/r", "hooks/post-receive"] {
        outside.file(&format!("ws/bare.git/{file}"), "")?;
    }
    let (head, aside) = (ws.join("bare.git/HEAD"), ws.join("bare.git/H"));
    let run = outside.sandbox(profile);
    let words = ["/bin/mv", head.to_str().unwrap_or_default(), aside.to_str().unwrap_or_default()];
    let run = run.command(&words).run()?;
    run.exited(0)?;
    for held in ["bare.git/hooks", "bare.git/config"] {
        let line = format!("  not kept again: {}", ws.join(held).display());
        ensure!(run.stderr.lines().any(|told| told == line), "not told: {}", run.stderr);
    }
    Ok(())
}

fn bury(inside: &Inside) -> Result<()> {
    let long = "x".repeat(250);
    let bury = || -> std::io::Result<()> {
        // A path of all of them is longer than one may be.
        std::env::set_current_dir(inside.path(0).map_err(std::io::Error::other)?)?;
        for _ in 0..DEEP {
            fs::create_dir(&long)?;
            std::env::set_current_dir(&long)?;
        }
        (0..BURIED).try_for_each(|number| fs::create_dir(number.to_string()))
    };
    inside.attempt("bury", bury());
    Ok(())
}

fn fill(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let made = (0..DECOYS)
        .try_for_each(|number| UnixListener::bind(ws.join(format!("s{number}"))).map(drop));
    inside.attempt("fill", made);
    Ok(())
}
