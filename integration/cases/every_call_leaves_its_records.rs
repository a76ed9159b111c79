//! Every call leaves its records: who connected, as the kernel told; what was allowed and what was
//! refused, by which rule, over which edge; how it ended. They lie in the log of the run, and no word
//! that a caller or a tool wrote is among them. A flood of one keeps no other out.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there is null, and a record that is not there fails the case"
)]

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(crate) const CASE: Case = Case { rows: &["B11", "X06"], outside, by: By::Anybody, ..Case::NEW };

/// What is asked, and what is answered.
const ASKED: &str = "words-of-the-caller";
const ANSWERED: &str = "words-of-the-tool";

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{}",
        outside.call("tool", &tool, &[])?
    );
    let call = |name: &str, line: &str| {
        let arguments = json!({ "line": line });
        format!("/run/sandboxd/sandboxd call --json tool {name} '{arguments}'; ")
    };
    let halves = ANSWERED.split_at(8);
    let line = format!("echo {}\"\"{} # {ASKED}", halves.0, halves.1);
    let script = [
        call("sh", &line),
        call("sh", &line),
        call("sh", "true"),
        call("absent", ASKED),
        format!("/run/sandboxd/sandboxd call {ASKED}; true"),
    ];
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script.concat()]).run()?;
    run.exited(0)?;
    ensure!(run.stdout.matches(ANSWERED).count() == 2, "not called: {}{}", run.stdout, run.stderr);
    let receipt = run.receipt.as_ref().context("no receipt")?;

    let records = outside.records()?;
    for record in &records {
        let text = record.to_string();
        ensure!(!text.contains(ASKED) && !text.contains(ANSWERED), "words are in {text}");
    }
    let of =
        |kind: &str| -> Vec<&Value> { records.iter().filter(|one| one["kind"] == kind).collect() };
    started(&of("started"))?;
    for connected in of("connected") {
        let actor = &connected["actor"];
        ensure!(connected["decision"] == "allowed", "{connected}");
        ensure!(actor["uid"] == receipt["uid"] && actor["agent"] == "agent", "{connected}");
        ensure!(actor["instance"] == receipt["sandbox"], "{connected}");
        ensure!(actor["pid"].is_u64(), "{connected}");
    }
    // One for each call of the program, which lists what there is before it calls.
    ensure!(of("connected").len() == 5, "{:?}", of("connected"));
    called(&of("call"), &of("answered"))?;
    let strangers = of("noticed").into_iter().filter(|one| one["rule"] == "no_edge").count();
    ensure!(strangers == 1, "an edge that is not there: {:?}", of("noticed"));
    let verified = outside.bare().waiving_nothing().verb("audit").option("verify").run()?;
    verified.exited(0)?;
    ensure!(
        verified.stdout.contains("1 logs") || verified.stdout.contains("1 log,"),
        "{}",
        verified.stdout
    );
    flooded(outside, &outside.call("tool", &tool, &[])?)
}

/// What is malformed comes too often to be written down each time; who connected and what was hidden does not.
fn flooded(outside: &Outside, edge: &str) -> Result<()> {
    let profile = format!("name = \"flood\"\nextends = [\"builtin:base\"]\n{edge}");
    let script = "i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); \
         echo \"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":$i,\\\"method\\\":\\\"tools/call\\\",\\\"params\\\":{}}\"; \
         done | /run/sandboxd/sandboxd connect tool > /dev/null; \
         /run/sandboxd/sandboxd call --json tool absent '{}'; true";
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", script]).run()?;
    run.exited(0)?;
    let records = outside.records()?;
    let of = |kind: &str, rule: Value| -> usize {
        let its = records.iter().filter(|one| one["actor"]["agent"] == "flood");
        its.filter(|one| one["kind"] == kind && one["rule"] == rule).count()
    };
    ensure!(of("call", json!("reach")) == 1, "who tried what is hidden was left out");
    ensure!(of("connected", Value::Null) == 2, "who connected was left out");
    ensure!(of("left_out", json!("params")) > 0, "it was no flood: {records:?}");
    ensure!(of("left_out", Value::Null) + of("left_out", json!("reach")) == 0, "{records:?}");
    Ok(())
}

/// What was started: the command, our own services for it, and what it called.
fn started(started: &[&Value]) -> Result<()> {
    let names: BTreeSet<&str> =
        started.iter().filter_map(|one| one.pointer("/actor/agent")?.as_str()).collect();
    ensure!(["agent", "broker", "tool"].iter().all(|name| names.contains(name)), "{names:?}");
    Ok(())
}

fn called(calls: &[&Value], ends: &[&Value]) -> Result<()> {
    let asked: Vec<&&Value> = calls.iter().filter(|one| one["method"] == "tools/call").collect();
    let [first, again, other, absent] = asked.as_slice() else {
        anyhow::bail!("not four: {asked:?}");
    };
    for call in [first, again, other] {
        ensure!(call["decision"] == "allowed" && call["tool"] == "sh", "{call}");
        ensure!(call["edge"] == "tool" && call["call"]["callee"] == "tool", "{call}");
        ensure!(call["chain"] == json!(["agent"]), "{call}");
        let mut its = ends.iter().filter(|end| end["call"] == call["call"]);
        let end = its.next().with_context(|| format!("it has no end: {call}"))?;
        ensure!(end["result"]["status"] == "answered", "{end}");
        ensure!(end["result"]["bytes"].as_u64() > Some(0), "{end}");
    }
    ensure!(first["args_sha256"] == again["args_sha256"], "{first} and {again}");
    ensure!(first["args_sha256"] != other["args_sha256"], "{first} and {other}");
    ensure!(absent["decision"] == "refused" && absent["rule"] == "reach", "{absent}");
    ensure!(absent["tool"].is_null() && absent["args_sha256"].is_string(), "{absent}");
    Ok(())
}
