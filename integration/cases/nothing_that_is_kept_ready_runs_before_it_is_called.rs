//! What is kept ready does nothing before somebody calls: its command was not executed, and the time that it may
//! take has not begun.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::below::field;
use sandboxd_integration::{By, Case, Outside, patience};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

pub(crate) const CASE: Case = Case { rows: &["B11", "B12"], outside, by: By::Anybody, ..Case::NEW };

/// How long it may run: enough for a start and an answer on a machine that has much else to do.
const RUNS: Duration = Duration::from_secs(12);

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let runs = patience(RUNS);
    // Longer than that.
    let waits = runs + Duration::from_secs(1);
    let words = format!("[limits]\nwall_time = \"{}s\"\n", runs.as_secs());
    let tool = outside.tool("tool", &[], &words)?;
    // It leaves a mark before it serves.
    let program = std::env::current_exe()?;
    let marks = format!("echo ran >> {0}/ran; exec {1} tool", ws.display(), program.display());
    let text = fs::read_to_string(&tool)?;
    let text = text.replace(
        &format!("exec = [{program:?}, \"tool\"]"),
        &format!("exec = [\"/bin/sh\", \"-c\", {marks:?}]"),
    );
    let text = text.replace("read = []", &format!("read = []\nwrite = [{ws:?}]"));
    ensure!(text.contains("echo ran") && text.contains("write = ["), "{text}");
    fs::write(&tool, text)?;
    let edge = outside.call("tool", &tool, &[])?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n{edge}\
         grant.files.write = [{ws:?}]\nready = 2\n"
    );
    let call =
        format!("/run/sandboxd/sandboxd call tool sh '{}'", json!({ "line": "echo answered" }));
    let script = format!("until [ -e {}/go ]; do sleep 0.05; done; {call}", ws.display());
    let running = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).start()?;
    let kept = running.keeps_ready(2)?;
    std::thread::sleep(waits);
    ensure!(
        running.kept_ready()? == kept,
        "they did not wait: {:?}, not {kept:?}",
        running.kept_ready()?
    );
    ensure!(!ws.join("ran").exists(), "what nobody called has run");
    for pid in kept {
        ensure!(field(pid, "Seccomp_filters")? != "0", "{pid} waits without its filter");
        ensure!(field(pid, "NoNewPrivs")? == "1", "{pid} waits without its layers");
    }
    fs::write(ws.join("go"), "")?;
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("answered"), "{}, {}", run.stdout, run.stderr);
    ensure!(fs::read_to_string(ws.join("ran"))? == "ran\n", "it ran more than once");
    let records = outside.records()?;
    let tools =
        |record: &&Value| at(record, "/actor/agent") == "tool" && at(record, "/kind") == "started";
    let started = records.iter().find(tools).context("no start was written down")?;
    let kept = started.pointer("/result/kept_ready_ms").and_then(Value::as_u64);
    let waited = kept.is_some_and(|kept| u128::from(kept) >= waits.as_millis());
    ensure!(waited, "it is not the one that waited: {}", at(started, "/result"));
    Ok(())
}

/// What stands at a place in a record; nothing where that is not there.
fn at<'v>(record: &'v Value, place: &str) -> &'v Value {
    record.pointer(place).unwrap_or(&Value::Null)
}
