//! An instance that was kept ready runs under the very layers of one that is started when somebody calls, and its
//! receipt says so; one that nobody claimed has not run, and leaves no record that it did.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};
use std::fs;

pub(crate) const CASE: Case = Case { rows: &["B11", "B12"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let kept = one(outside, "kept", 2)?;
    let asked = one(outside, "asked", 0)?;
    let ms = kept.pointer("/result/kept_ready_ms").and_then(Value::as_u64);
    ensure!(ms.is_some(), "it was not kept ready: {}", at(&kept, "/result"));
    ensure!(at(&asked, "/result").is_null(), "{}", at(&asked, "/result"));
    for part in [
        "version",
        "kernel",
        "landlock_abi",
        "layers",
        "waived",
        "absent",
        "probes",
        "egress",
        "cgroup_placement",
    ] {
        let [kept, asked] = [&kept, &asked].map(|record| at(record, &format!("/receipt/{part}")));
        ensure!(kept == asked, "{part} differs: {kept}, {asked}");
    }
    for part in ["landlock", "seccomp"] {
        let count = |record: &Value| {
            at(record, &format!("/receipt/stacked/{part}")).as_array().map(Vec::len)
        };
        ensure!(
            count(&kept) == Some(2) && count(&asked) == Some(2),
            "{part} is not stacked: {kept}"
        );
    }
    ensure!(at(&kept, "/receipt/layers").as_array().is_some_and(|layers| layers.len() > 10));
    Ok(())
}

/// The record of the start of a tool that is called once, of which so many are kept ready.
fn one(outside: &Outside, way: &str, ready: usize) -> Result<Value> {
    let notes = outside.file("notes/today", "what is in the notes")?;
    let tool = outside.tool(&format!("tool-{way}"), std::slice::from_ref(&notes), "")?;
    let edge = outside.call("tool", &tool, std::slice::from_ref(&notes))?;
    let go = outside.dir().join(format!("go/{way}"));
    let folder = go.parent().context("a folder")?;
    fs::create_dir_all(folder)?;
    let agent = format!("agent-{way}");
    let profile = format!(
        "name = \"{agent}\"\nextends = [\"builtin:base\"]\n[files]\nread = [{folder:?}]\n{edge}ready = {ready}\n"
    );
    let asked = json!({ "line": format!("id -u; cat {}", notes.display()) }).to_string();
    let script = format!(
        "until [ -e {} ]; do sleep 0.05; done; /run/sandboxd/sandboxd call tool sh '{asked}'",
        go.display()
    );
    let running = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).start()?;
    running.keeps_ready(ready)?;
    fs::write(&go, "")?;
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("what is in the notes"), "{}, {}", run.stdout, run.stderr);
    let records = outside.records()?;
    let tool_name = format!("tool-{way}");
    let of = |kind: &str| -> Vec<&Value> {
        let tools = |record: &&Value| {
            at(record, "/actor/agent") == tool_name.as_str() && at(record, "/kind") == kind
        };
        records.iter().filter(tools).collect()
    };
    let (started, ended) = (of("started"), of("ended"));
    ensure!(started.len() == 1 && ended.len() == 1, "it was called once: {started:?} {ended:?}");
    let [started, ended] = [started, ended].map(|all| all.first().copied().cloned());
    let (started, ended) = (started.context("no start")?, ended.context("no end")?);
    ensure!(at(&started, "/actor/instance") == at(&ended, "/actor/instance"), "{started} {ended}");
    Ok(started)
}

/// What stands at a place in a record; nothing where that is not there.
fn at<'v>(record: &'v Value, place: &str) -> &'v Value {
    record.pointer(place).unwrap_or(&Value::Null)
}
