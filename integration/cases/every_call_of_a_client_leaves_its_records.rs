//! Calls of a client of `sandboxd mcp` leave the same records as those of a sandbox, and those of people too:
//! who approved and who denied, as the kernel told. Where the server is durable, no call reaches it whose
//! record is not on the disk.

#![expect(clippy::indexing_slicing, reason = "a member that is not there is null")]

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::approver::FOLDER;
use sandboxd_integration::{By, Case, Fault, Outside};
use serde_json::{Value, json};
use std::fs;

pub(crate) const CASE: Case =
    Case { rows: &["B11", "B14", "X06", "C06"], outside, by: By::Anybody, ..Case::NEW };

/// What is asked.
const ASKED: &str = "words-of-the-client";

fn outside(outside: &Outside) -> Result<()> {
    let server = outside.tool("server", &[], "ask = [\"unnamed\"]\ndurable = true\n")?;
    let profile =
        fs::read_to_string(server)?.replace("tools = [\"sh\"]", "tools = [\"sh\", \"unnamed\"]");
    let mut running = outside
        .sandbox(&profile)
        .verb("mcp")
        .env(FOLDER, &outside.login_folder()?.to_string_lossy())
        .stdin(requests().as_bytes())
        .start()?;
    let (id, _) = outside.waits("unnamed")?;
    ensure!(outside.approver(&["deny", &id])?.status == 0, "not denied");
    running.says("not approved")?;
    let run = running.wait()?;
    run.exited(0)?;

    let records = outside.records()?;
    let of = |kind: &str| -> Vec<&Value> {
        records.iter().filter(|one| one["kind"] == kind).collect()
    };
    for record in &records {
        ensure!(!record.to_string().contains(ASKED), "words are in {record}");
    }
    let calls: Vec<&Value> =
        of("call").into_iter().filter(|one| one["method"] == "tools/call").collect();
    let one = |tool: Value, decision: &str| {
        let mut found = calls.iter().filter(|one| one["tool"] == tool && one["decision"] == decision);
        found.next().with_context(|| format!("{tool} was not {decision}: {calls:?}"))
    };
    let allowed = one(json!("sh"), "allowed")?;
    ensure!(allowed["actor"]["agent"] == "client" && allowed["edge"] == "server", "{allowed}");
    ensure!(allowed["call"]["sandbox"].is_string(), "which server: {allowed}");
    ensure!(one(Value::Null, "refused")?["rule"] == "reach", "{calls:?}");
    ensure!(one(json!("unnamed"), "refused")?["rule"] == "approval", "{calls:?}");
    let approvals = of("approval");
    let [denied] = approvals.as_slice() else { anyhow::bail!("not one: {approvals:?}") };
    ensure!(denied["decision"] == "refused" && denied["tool"] == "unnamed", "{denied}");
    let by = &denied["result"]["by"];
    let uid = if outside.is_user() { outside.owner().0 } else { 0 };
    ensure!(by["uid"] == uid && by["pid"].is_u64(), "who denied: {denied}");
    let answered = of("answered");
    let its = answered.iter().find(|end| end["call"]["number"] == allowed["call"]["number"]);
    ensure!(its.context("it has no end")?["result"]["status"] == "answered", "{answered:?}");
    let shown = outside.bare().waiving_nothing().verb("audit").option("show").run()?;
    ensure!(shown.stdout.contains("denied by uid"), "{}", shown.stdout);
    a_disk_that_fails(outside, &profile)
}

/// Nothing that is written gets to it: no call is made, and that is said.
fn a_disk_that_fails(outside: &Outside, profile: &str) -> Result<()> {
    let plain = profile.replace("ask = [\"unnamed\"]\n", "");
    let run = outside
        .sandbox(&plain)
        .verb("mcp")
        .stdin(requests().as_bytes())
        .fault(Fault::of(libc::SYS_fdatasync, libc::EIO))
        .run()?;
    ensure!(!run.stdout.contains("made-of-two"), "it was called: {}", run.stdout);
    ensure!(run.stderr.contains("EIO"), "nothing is said: {}", run.stderr);
    Ok(())
}

/// What the client asks, all at once.
fn requests() -> String {
    let call = |id: &str, tool: &str, line: &str| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                "params": { "name": tool, "arguments": { "line": line } } })
    };
    [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "case", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        call("sh", "sh", &format!("echo made-of\"\"-two # {ASKED}")),
        call("absent", "absent", ASKED),
        call("asked", "unnamed", ASKED),
    ]
    .map(|message| format!("{message}\n"))
    .concat()
}
