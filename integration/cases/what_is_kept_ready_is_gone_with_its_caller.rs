//! What is kept ready is gone with whoever it is kept for, however that ends: by itself, killed, or with its
//! supervisor killed. One that ends before it is called is told, and another one is started.

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Outside, Running, patience};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case = Case {
    rows: &["B12", "C04", "P09", "X01"],
    seconds: 180,
    outside,
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    outside.leases_may_stay_busy();
    let tool = outside.tool("tool", &[], "")?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}ready = 3\n");
    let start =
        |script: &str| outside.sandbox(&profile).command(&["/bin/sh", "-c", script]).start();
    let keeps = |running: &Running<'_>| -> Result<Vec<i32>> {
        let mut kept = running.keeps_ready(3)?;
        for half in kept.clone() {
            kept.push(field(half, "PPid")?.parse()?);
        }
        Ok(kept)
    };
    // It ends by itself.
    let running = start("sleep 60 & wait; exit 7")?;
    let kept = keeps(&running)?;
    let command = running.process(|command| command.starts_with("/bin/sh -c sleep"))?;
    kill(Pid::from_raw(command), Signal::SIGTERM)?;
    running.wait()?;
    are_gone(&kept, Duration::ZERO)?;
    // Its init is killed.
    let running = start("sleep 60 & wait")?;
    let kept = keeps(&running)?;
    let command = running.process(|command| command.starts_with("/bin/sh -c sleep"))?;
    let init: i32 = field(command, "PPid")?.parse()?;
    ensure!(
        fs::read(format!("/proc/{init}/cmdline"))? == b"sandboxd-init\0",
        "{init} is not the init"
    );
    kill(Pid::from_raw(init), Signal::SIGKILL)?;
    let run = running.wait()?;
    // They ended with it, which is nothing that anybody is to be told.
    ensure!(!run.stderr.contains("to be kept ready"), "{}", run.stderr);
    are_gone(&kept, Duration::ZERO)?;
    // So is its supervisor, who can end nothing any more.
    let running = start("sleep 60")?;
    let kept = keeps(&running)?;
    running.signal(Signal::SIGKILL)?;
    running.wait()?;
    are_gone(&kept, patience(Duration::from_secs(5)))?;
    outside.sandbox("extends = [\"builtin:base\"]\n").command(&["/bin/true"]).run()?.exited(0)?;
    one_that_ends_is_told(outside, &profile)?;
    one_that_loses_its_way_out_is_told(outside)
}

fn are_gone(processes: &[i32], within: Duration) -> Result<()> {
    let until = Instant::now() + within;
    loop {
        let lives = |pid: &&i32| field(**pid, "State").is_ok_and(|state| !state.starts_with('Z'));
        let living: Vec<&i32> = processes.iter().filter(lives).collect();
        if living.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < until, "still there: {living:?} of {processes:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whoever calls meanwhile is answered.
fn one_that_ends_is_told(outside: &Outside, profile: &str) -> Result<()> {
    let folder = outside.dir().join("go");
    fs::create_dir_all(&folder)?;
    let profile =
        profile.replace("[call.tool]", &format!("[files]\nread = [{folder:?}]\n[call.tool]"));
    let call =
        format!("/run/sandboxd/sandboxd call tool sh '{}'", json!({ "line": "echo answered" }));
    let script = format!("until [ -e {}/go ]; do sleep 0.05; done; {call}", folder.display());
    let running = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).start()?;
    let kept = running.keeps_ready(3)?;
    for half in &kept {
        kill(Pid::from_raw(*half), Signal::SIGKILL)?;
    }
    are_gone(&kept, patience(Duration::from_secs(5)))?;
    let others = running.keeps_ready(3)?;
    ensure!(others.iter().all(|pid| !kept.contains(pid)), "{others:?} and {kept:?}");
    fs::write(folder.join("go"), "")?;
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("answered"), "{}, {}", run.stdout, run.stderr);
    ensure!(run.stderr.contains("to be kept ready"), "nobody was told: {}", run.stderr);
    Ok(())
}

/// Its services end, which for a command that runs is a stop: nobody asked for this one's.
fn one_that_loses_its_way_out_is_told(outside: &Outside) -> Result<()> {
    let out = "egress = [\"tcp://host.internal:9\"]\n";
    let tool = outside.tool("out", &[], &format!("[network]\nmode = \"egress\"\n{out}"))?;
    let edge = outside.call("out", &tool, &[])?;
    let profile = format!(
        "name = \"agent-out\"\nextends = [\"builtin:base\"]\n{edge}grant.network.mode = \"egress\"\ngrant.network.{out}ready = 1\n"
    );
    let running =
        outside.sandbox(&profile).command(&["/bin/sh", "-c", "sleep 60 & wait; exit 7"]).start()?;
    let kept = running.keeps_ready(1)?;
    let egress = running.process_to_come(|command| command.ends_with("service egress"))?;
    kill(Pid::from_raw(egress), Signal::SIGKILL)?;
    are_gone(&kept, patience(Duration::from_secs(5)))?;
    let others = running.keeps_ready(1)?;
    ensure!(others != kept, "it is still there: {kept:?}");
    let command = running.process(|command| command.starts_with("/bin/sh -c sleep"))?;
    kill(Pid::from_raw(command), Signal::SIGTERM)?;
    let run = running.wait()?;
    // In words of its own where it was not as ready yet as it can be.
    ensure!(run.stderr.contains("out, to be kept ready"), "nobody was told: {}", run.stderr);
    Ok(())
}
