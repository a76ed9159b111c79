//! What is kept ready for one caller is claimed by nobody else, though it is called over the same edge: it lies in
//! its caller's cgroup, and is gone with it, while another caller's is still there.
//!
//! Two processes of the same profile call the same tool, and one is kept ready for each.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside, Running};
use serde_json::{Value, json};
use std::fs;

pub(crate) const CASE: Case = Case { rows: &["B11", "B12"], outside, by: By::Root, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let folder = outside.dir().join("go");
    fs::create_dir_all(&folder)?;
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])? + "ready = 1\n";
    let hub = outside.tool("hub", std::slice::from_ref(&folder), &edge)?;
    let call = outside.call("hub", &hub, std::slice::from_ref(&folder))?;
    let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{call}");
    // Each waits, then calls, then waits for its end.
    let hubs = [1, 2].map(|hub| {
        let tools =
            json!({ "line": format!("exec sleep 7654{hub}") }).to_string().replace('"', "\\\"");
        let waits = |what: &str| {
            format!("until [ -e {0}/{what}-{hub} ]; do sleep 0.05; done", folder.display())
        };
        let line = format!(
            "{}; /run/sandboxd/sandboxd call tool sh \"{tools}\" & {}; kill $!",
            waits("call"),
            waits("end")
        );
        let asked = json!({ "line": line }).to_string().replace('\'', "'\\''");
        format!("/run/sandboxd/sandboxd call hub sh '{asked}' &")
    });
    let script = format!("{} wait", hubs.join(" "));
    let running = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).start()?;
    let own = folder.display().to_string();
    // Before both hubs run, what is found may be a hub that is not let go yet.
    for hub in [1, 2] {
        command_of(&running, hub, &own)?;
    }
    running.keeps_ready(2)?;
    // Whichever hub's is found first: one of the two would get the other's.
    for hub in [2, 1] {
        fs::write(folder.join(format!("call-{hub}")), "")?;
        lies_in(&running, hub, &own)?;
        running.keeps_ready(2)?;
    }
    fs::write(folder.join("end-1"), "")?;
    running.keeps_ready(1)?;
    let other = running.process(|command| command == "sleep 76542");
    ensure!(other.is_ok(), "it ended with the first: {other:?}");
    fs::write(folder.join("end-2"), "")?;
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(!run.stderr.contains("kept ready"), "{}", run.stderr);
    let records = outside.records()?;
    let tools = |record: &&Value| {
        record.pointer("/actor/agent") == Some(&json!("tool"))
            && record.pointer("/kind") == Some(&json!("started"))
    };
    let waited =
        |record: &Value| record.pointer("/result/kept_ready_ms").is_some_and(Value::is_u64);
    let started: Vec<bool> = records.iter().filter(tools).map(waited).collect();
    ensure!(started == [true, true], "which of the tools were kept ready: {started:?}");
    Ok(())
}

/// The shell of this hub, which waits for its own end.
fn command_of(running: &Running<'_>, hub: usize, folder: &str) -> Result<i32> {
    let own = format!("{folder}/end-{hub}");
    running.process_to_come(|command| {
        command.starts_with("/bin/sh") && command.contains(&own) && !command.contains("call hub")
    })
}

/// The tool that this hub called lies in the cgroup of this hub.
fn lies_in(running: &Running<'_>, hub: usize, folder: &str) -> Result<()> {
    let tool = running.process_to_come(|command| command == format!("sleep 7654{hub}"))?;
    let hub = command_of(running, hub, folder)?;
    let group = |pid: i32, name: &str| -> Result<String> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let line = groups.lines().find(|line| line.contains(name)).context("in no group")?;
        let (_, after) = line.split_once(name).context("in no group")?;
        Ok(after.split('/').next().unwrap_or_default().to_owned())
    };
    let name = "/sandboxd.hub-";
    let (its, hubs) = (group(tool, name)?, group(hub, name)?);
    ensure!(its == hubs, "what hub-{hubs} called is in the group of hub-{its}");
    Ok(())
}
