//! What is taken back while a run goes on is called no more: not the next time, and what is under way is cut off,
//! and what waits for somebody's yes is over, whoever says it then. Nothing of it is left running. Everything else goes
//! on. Whoever calls is told so, the same for what is there and what never was, and that is all: who took it back is in
//! the log. An edge that is for a time is taken back when that is over. The agent itself takes nothing back.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside, Run, patience};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const CASE: Case =
    Case { rows: &["B11", "B14"], outside, by: By::Anybody, seconds: 120, ..Case::NEW };

/// What a model reads.
const TAKEN: &str = "it was revoked";

/// `call EDGE TOOL LINE`: what came of a call, on one line.
const CALL: &str = r#"
call() { /run/sandboxd/sandboxd call --json "$1" "$2" "{\"line\": \"$3\"}" 2>&1 | tr -d '\n'; echo; }
say() { echo "$1: $(eval "$2")"; }
"#;

fn outside(outside: &Outside) -> Result<()> {
    taken_back_by_somebody(outside)?;
    taken_back_by_time(outside)
}

fn taken_back_by_somebody(outside: &Outside) -> Result<()> {
    let workspace = outside.workspace()?;
    let profile = profile(outside, &workspace, "")?;
    let script = format!(
        "{CALL}say before 'call work sh \"echo it works\"'\n\
         say 'by itself' '/run/sandboxd/sandboxd revoke agent other > /dev/null 2>&1; echo status $?'\n\
         say 'under way' 'call work sh \"sleep 61\"' & say held 'call asked sh \"echo waits\"' &\n\
         while ! [ -e {go} ]; do sleep 0.1; done; wait\n\
         say after 'call work sh \"echo it works\"'; say absent 'call work nothing x'\n\
         say other 'call other sh \"echo goes on\"'\n",
        go = workspace.join("go").display(),
    );
    let run = outside.sandbox(&profile);
    let mut running = run.command(&["/bin/sh", "-c", &script]).start()?;
    running.says("by itself")?;
    let sleeps = running.process_to_come(|words| words == "sleep 61")?;
    let (held, _) = outside.waits("echo waits")?;

    let unknown = outside.approver(&["revoke", "agent", "nothing"])?;
    ensure!(unknown.status == 1 && unknown.text.contains("it has agent/asked"), "{}", unknown.text);
    let nobody = outside.approver(&["revoke", "somebody", "work"])?;
    ensure!(nobody.status == 1 && nobody.text.contains("remedy"), "{}", nobody.text);
    for edge in ["work", "agent/asked"] {
        let said = outside.approver(&["revoke", "agent", edge])?;
        ensure!(said.status == 0 && said.text.contains(": revoked "), "{}", said.text);
    }
    // It holds once that was said, and may be said again.
    ensure!(outside.waiting()?.is_empty(), "what is over waits for a yes");
    let late = outside.approver(&["approve", &held])?;
    ensure!(late.status == 1, "approved all the same: {}", late.text);
    let said = outside.approver(&["revoke", "agent", "work", "--json"])?;
    let answer: Value = serde_json::from_str(&said.text).context("the answer")?;
    ensure!(answer.get("revoked") == Some(&Value::Bool(true)), "{answer}");
    is_gone(sleeps)?;
    fs::write(workspace.join("go"), "")?;
    let run = running.wait()?;
    run.exited(0)?;
    says(&run, &[("before", "it works"), ("by itself", "status 1"), ("other", "goes on")])?;
    says(&run, &["under way", "held", "after"].map(|what| (what, TAKEN)))?;
    says(&run, &[("absent", TAKEN)])?;
    told(outside)
}

/// Neither the calls that it makes then, nor the one that it is in.
fn taken_back_by_time(outside: &Outside) -> Result<()> {
    let within = patience(Duration::from_secs(8));
    let workspace = outside.workspace()?;
    let expires = format!("expires = \"{}ms\"\n", within.as_millis());
    let profile = profile(outside, &workspace, &expires)?;
    let script = format!(
        "{CALL}say before 'call work sh \"echo it works\"'; say 'under way' 'call work sh \"sleep 62\"'\n\
         say after 'call work sh \"echo it works\"'; say other 'call other sh \"echo goes on\"'\n"
    );
    let run = outside.sandbox(&profile);
    let began = Instant::now();
    let run = run.command(&["/bin/sh", "-c", &script]).start()?.wait()?;
    run.exited(0)?;
    ensure!(began.elapsed() >= within, "sooner than it says");
    says(&run, &[("before", "it works"), ("other", "goes on")])?;
    says(&run, &["under way", "after"].map(|what| (what, TAKEN)))?;
    let records = outside.records()?;
    let expired = records.iter().filter(|record| text(record, "/rule") == "expired");
    let expired: Vec<&Value> = expired.collect();
    let [record] = expired.as_slice() else { anyhow::bail!("{expired:?}") };
    let by = record.pointer("/result/by");
    ensure!(text(record, "/kind") == "revoked" && by == Some(&Value::Null), "{record}");
    Ok(())
}

/// Three edges, each to a tool of its own: the first may be for a time, and the last asks.
fn profile(outside: &Outside, workspace: &Path, expires: &str) -> Result<String> {
    let mut profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nread = [{workspace:?}]\n"
    );
    for (name, words) in [("work", expires), ("other", ""), ("asked", "approval = \"ask\"\n")] {
        let tool = outside.tool(name, &[], "")?;
        let edge = outside.call(name, &tool, &[])?;
        let tools = format!("tools = [\"sh\"]\n{words}");
        profile.push_str(&edge.replacen("tools = [\"sh\"]\n", &tools, 1));
    }
    Ok(profile)
}

fn says(run: &Run, expected: &[(&str, &str)]) -> Result<()> {
    for (what, words) in expected {
        let is_it = |line: &&str| line.starts_with(&format!("{what}: "));
        let line = run.stdout.lines().find(is_it).with_context(|| format!("no {what}"))?;
        ensure!(line.contains(words), "{words:?} is not in {line}");
    }
    Ok(())
}

/// What ran for it alone is ended at once, and not only with the run.
fn is_gone(pid: i32) -> Result<()> {
    let until = Instant::now() + patience(Duration::from_secs(10));
    while Path::new(&format!("/proc/{pid}")).exists() {
        ensure!(Instant::now() < until, "it still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn text<'r>(record: &'r Value, path: &str) -> &'r str {
    record.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The log has what was taken back and by whom, once each, and what was refused for it.
fn told(outside: &Outside) -> Result<()> {
    let records = outside.records()?;
    let revoked: Vec<&Value> =
        records.iter().filter(|record| text(record, "/kind") == "revoked").collect();
    let edges: Vec<&str> = revoked.iter().map(|record| text(record, "/edge")).collect();
    ensure!(edges == ["work", "asked"], "{revoked:?}");
    for record in revoked {
        ensure!(text(record, "/rule") == "revoked", "{record}");
        let uid = record.pointer("/result/by/uid").and_then(Value::as_u64);
        ensure!(uid == Some(nix::unistd::geteuid().as_raw().into()), "{record}");
        ensure!(text(record, "/actor/agent") == "agent", "{record}");
        ensure!(text(record, "/result/run") == text(record, "/actor/instance"), "{record}");
    }
    let refused = records
        .iter()
        .filter(|record| text(record, "/kind") == "call" && text(record, "/rule") == "revoked");
    ensure!(refused.count() >= 2, "what was refused is not written down");
    let cut = records
        .iter()
        .any(|record| text(record, "/kind") == "answered" && text(record, "/rule") == "revoked");
    ensure!(cut, "what was under way is not written down as cut off");
    Ok(())
}
