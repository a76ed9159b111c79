//! A command that fills its workspace with decoys does not switch protection off for the next run: what
//! cannot be searched whole is not started, and the message says why.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::os::unix::net::UnixListener;

pub(crate) const CASE: Case = Case {
    rows: &["F15", "E5", "E25"],
    outside,
    probes: &[("fill", fill)],
    by: By::Anybody,
    ..Case::NEW
};

/// More than a search lists.
const DECOYS: usize = 1100;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let hook = outside.file("ws/.git/hooks/post-commit", "mine")?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let words = [ws.to_str().unwrap_or_default()];
    outside.sandbox(&profile).probe("fill", &words).run()?.ran()?.allowed("fill")?;
    let write = format!("echo evil >> {hook:?}");
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &write]).run()?;
    run.not_started()?.has_problem(&["more than can be searched"])?;
    ensure!(fs::read_to_string(&hook)? == "mine", "the hook was written");
    Ok(())
}

fn fill(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let made = (0..DECOYS)
        .try_for_each(|number| UnixListener::bind(ws.join(format!("s{number}"))).map(drop));
    inside.attempt("fill", made);
    Ok(())
}
