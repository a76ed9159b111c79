//! What a command calls lies in its cgroup: however many tools it has started, together they use no more
//! than it may use itself, and each is limited by its own profile besides.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::json;
use std::fs;

pub(crate) const CASE: Case = Case { rows: &["R03"], outside, by: By::Root, ..Case::NEW };

/// More than half of what the caller may use, and less than all of it.
const HOLDS: &str = "head -c 62914560 /dev/zero > /tmp/held && stat -c %s /tmp/held; sleep 2";

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "[limits]\nmemory = \"1G\"\n")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[limits]\nmemory = \"100M\"\n{edge}"
    );
    one_lies_in_the_other(outside, &profile)?;
    let asked = json!({ "line": HOLDS }).to_string();
    let call = format!("/run/sandboxd/sandboxd call tool sh '{asked}'");
    let alone = outside.sandbox(&profile).command(&["/bin/sh", "-c", &call]).run()?;
    alone.exited(0)?;
    ensure!(alone.stdout.contains("62914560"), "one alone does not fit: {}", alone.stdout);
    let three = format!("{call} & {call} & {call} & wait");
    let three = outside.sandbox(&profile).command(&["/bin/sh", "-c", &three]).run()?;
    let held = three.stdout.matches("62914560").count();
    ensure!(held < 2, "{held} tools held 60M each at the same time, of 100M");
    Ok(())
}

/// On every hierarchy that both are in.
fn one_lies_in_the_other(outside: &Outside, profile: &str) -> Result<()> {
    let script = "/run/sandboxd/sandboxd call tool sh '{\"line\": \"exec sleep 76543\"}'";
    let running = outside.sandbox(profile).command(&["/bin/sh", "-c", script]).start()?;
    let callee = running.process_to_come(|command| command == "sleep 76543")?;
    let groups = fs::read_to_string(format!("/proc/{callee}/cgroup"))?;
    let ours = groups.lines().filter(|line| line.contains("sandboxd.tool-"));
    let mut count = 0;
    for line in ours {
        count += 1;
        let inside = line.split_once("sandboxd.tool-").context("no tool")?.0;
        ensure!(inside.contains("/sandboxd.agent-"), "not in its caller's: {line}");
    }
    ensure!(count > 0, "it is in no group: {groups}");
    running.signal(nix::sys::signal::Signal::SIGTERM)?;
    running.wait()?;
    Ok(())
}
