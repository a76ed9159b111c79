//! A path that is missing stops the run; one that may be missing is not there inside either, even
//! where it comes into being outside while the command runs.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["E4", "E17"], outside, probes: &[("look", look)], by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let late = outside.dir().join("late");
    let profile = |files: &str| format!("extends = [\"builtin:base\"]\n[files]\n{files}\n");
    let missing = late.display().to_string();
    for files in [
        format!("read = [{late:?}]"),
        format!("write = [{late:?}]"),
        format!("execute = [{late:?}]"),
        format!("bind = [{{ from = {late:?}, to = \"/shown\" }}]"),
        format!("write = [{ws:?}]\nhide = [{:?}]", ws.join("late")),
    ] {
        let run = outside.sandbox(&profile(&files)).command(&["/bin/true"]).run()?;
        run.has_problem(&["profile.toml:", "late", "does not exist"])?;
    }
    // No profile is there to write `optional` in.
    let typed = outside.bare().option("-w").option(&late).command(&["/bin/true"]).run()?;
    typed.has_problem(&["command line: -w: ", "late does not exist"])?;
    let advised = typed.stderr.contains("optional");
    ensure!(!advised, "the remedy for what was typed is a line of a profile");
    let files = format!(
        "write = [{ws:?}, {{ path = {late:?}, optional = true }}]\n\
         hide = [{{ path = {:?}, optional = true }}]",
        ws.join("late")
    );
    let begun = ws.join("begun").display().to_string();
    let mut run = outside.sandbox(&profile(&files)).probe("look", &[&missing, &begun]).start()?;
    run.says("begun")?;
    let canary = outside.canary("late")?;
    fs::write(ws.join("begun"), "x")?;
    run.says("after")?;
    ensure!(run.lives()?, "it ended early");
    run.signal(Signal::SIGTERM)?;
    let run = run.wait()?;
    run.refused("before", &[Errno::ENOENT])?.refused("after", &[Errno::ENOENT])?.keeps(&canary)?;
    canary.unchanged()
}

fn look(inside: &Inside) -> Result<()> {
    inside.attempt("before", fs::read(inside.path(0)?));
    inside.fact("state", "begun");
    let until = Instant::now() + Duration::from_secs(10);
    while !inside.path(1)?.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    if let Some(text) = inside.attempt("after", fs::read_to_string(inside.path(0)?)) {
        inside.fact("text", &text);
    }
    std::thread::sleep(Duration::from_secs(30));
    Ok(())
}
