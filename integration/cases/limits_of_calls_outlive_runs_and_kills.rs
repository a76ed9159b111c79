//! An agent that is started again, or whose supervisor was killed, has what was left of its limits and not full
//! ones, and is in the same quarantine; where it cannot be told what was left, it is not started.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Outside};
use serde_json::json;
use std::fs;

pub(crate) const CASE: Case =
    Case { rows: &["X01", "X04"], outside, by: By::Anybody, seconds: 120, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = |name: &str| {
        format!("name = \"{name}\"\nextends = [\"builtin:base\"]\n{edge}rate = \"4/h burst 4\"\n")
    };
    let call = |number: u32| {
        let arguments = json!({ "line": format!("echo made $(({number} + 0))") });
        format!("/run/sandboxd/sandboxd call tool sh '{arguments}'; ")
    };
    let agent = profile("agent");
    let one = |number: u32, made: bool, what: &str| -> Result<()> {
        let run =
            outside.sandbox(&agent).command(&["/bin/sh", "-c", &(call(number) + "true")]).run()?;
        run.exited(0)?;
        let said = [run.stdout.as_str(), run.stderr.as_str()].concat();
        ensure!(run.stdout.contains("made") == made, "{what}: {said}");
        ensure!(made || said.contains("too often"), "{what}: not told why: {said}");
        Ok(())
    };
    one(1, true, "the first")?;
    one(2, true, "the second, in another run")?;
    // Two, of which one is charged before a kill, and none is left after it.
    let script = call(3) + &call(4) + "echo up; sleep 600";
    let mut running = outside.sandbox(&agent).command(&["/bin/sh", "-c", &script]).start()?;
    running.says("up")?;
    running.signal(Signal::SIGKILL)?;
    let killed = running.wait()?;
    ensure!(killed.stdout.matches("made").count() == 2, "{}{}", killed.stdout, killed.stderr);
    one(5, false, "after the kill")?;
    one(6, false, "once more")?;
    // Another agent has limits of its own.
    let other = outside.sandbox(&profile("other")).command(&["/bin/sh", "-c", &call(7)]).run()?;
    ensure!(other.stdout.contains("made 7"), "{}{}", other.stdout, other.stderr);
    in_quarantine(outside, &profile("knocker"))?;

    let file = outside.audit().with_file_name("limits").join("agent");
    let whole = fs::read(&file)?;
    for length in [0, 63, 64, whole.len() - 32, whole.len() - 1] {
        fs::write(&file, whole.get(..length).context("short")?)?;
        refused(outside, &agent, &format!("{length} bytes"))?;
    }
    for place in [0, 20, 40, 64, 85, whole.len() - 1] {
        let mut bytes = whole.clone();
        *bytes.get_mut(place).context("short")? ^= 1;
        fs::write(&file, bytes)?;
        refused(outside, &agent, &format!("a bit of byte {place}"))?;
    }
    fs::write(&file, &whole)?;
    one(8, false, "whole again")?;
    fs::remove_file(&file)?;
    one(9, true, "begun anew by a person")
}

/// One that asks for what it may not have, and is started again to be heard again.
fn in_quarantine(outside: &Outside, profile: &str) -> Result<()> {
    let knock = "/run/sandboxd/sandboxd call tool other '{}'; ".repeat(8);
    let call = "/run/sandboxd/sandboxd call tool sh '{\"line\": \"echo made\"}'; true";
    let heard = |script: &str| -> Result<bool> {
        let run = outside.sandbox(profile).command(&["/bin/sh", "-c", script]).run()?;
        run.exited(0)?;
        let said = [run.stdout.as_str(), run.stderr.as_str()].concat();
        let made = run.stdout.contains("made");
        let why = said.contains("Try again in") && !said.contains("Called too often");
        ensure!(made || why, "not told why: {said}");
        Ok(made)
    };
    ensure!(heard(call)?, "before");
    ensure!(!heard(&(knock + call))?, "after what it may not have");
    ensure!(!heard(call)?, "it was started again, and heard");
    Ok(())
}

fn refused(outside: &Outside, profile: &str, what: &str) -> Result<()> {
    let run = outside.sandbox(profile).command(&["/bin/echo", "ran"]).run()?;
    ensure!(run.status.code() == Some(125) && !run.stdout.contains("ran"), "{what}: it ran");
    ensure!(run.stderr.contains("limits") && run.stderr.contains("rm "), "{what}: {}", run.stderr);
    Ok(())
}
