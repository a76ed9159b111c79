//! Calls of a client of `sandboxd mcp` leave the same records as those of a sandbox, and those of people too:
//! who approved and who denied, as the kernel told. Where the server is durable, no call reaches it whose
//! record is not on the disk.

#![expect(clippy::indexing_slicing, reason = "a member that is not there is null")]

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sandboxd_integration::{By, Case, Fault, Outside, Run};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::Path;

pub(crate) const CASE: Case =
    Case { rows: &["B11", "B14", "X06", "C06"], outside, by: By::Anybody, ..Case::NEW };

const STATE: &str = "/var/lib/sandboxd";

/// What is asked.
const ASKED: &str = "words-of-the-client";

fn outside(outside: &Outside) -> Result<()> {
    let server = outside.tool("server", &[], "ask = [\"unnamed\"]\ndurable = true\n")?;
    let profile =
        fs::read_to_string(server)?.replace("tools = [\"sh\"]", "tools = [\"sh\", \"unnamed\"]");
    let mut running = outside.sandbox(&profile).verb("mcp").stdin(requests().as_bytes()).start()?;
    let (id, _) = outside.waits("unnamed")?;
    ensure!(outside.approver(&["deny", &id])?.status == 0, "not denied");
    running.says("not approved")?;
    let run = running.wait()?;
    run.exited(0)?;

    let records = outside.records()?;
    let of =
        |kind: &str| -> Vec<&Value> { records.iter().filter(|one| one["kind"] == kind).collect() };
    for record in &records {
        ensure!(!record.to_string().contains(ASKED), "words are in {record}");
    }
    let calls: Vec<&Value> =
        of("call").into_iter().filter(|one| one["method"] == "tools/call").collect();
    let one = |tool: Value, decision: &str| {
        let mut found =
            calls.iter().filter(|one| one["tool"] == tool && one["decision"] == decision);
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
    let plain = profile.replace("ask = [\"unnamed\"]\n", "");
    a_disk_that_fails(outside, &plain)?;
    // Whose log lies in a folder that a file system can be laid over.
    if !outside.is_user() {
        a_full_disk(outside, &plain)?;
    }
    Ok(())
}

/// Nothing that is written gets to it: no call is made, and that is said.
fn a_disk_that_fails(outside: &Outside, profile: &str) -> Result<()> {
    let run = outside
        .sandbox(profile)
        .verb("mcp")
        .stdin(requests().as_bytes())
        .fault(Fault::of(libc::SYS_fdatasync, libc::EIO))
        .run()?;
    is_not_made(&run, "EIO")
}

/// It fills up while the client talks, who has been answered before.
fn a_full_disk(outside: &Outside, profile: &str) -> Result<()> {
    mount(Some("tmpfs"), STATE, Some("tmpfs"), MsFlags::empty(), Some("mode=0700,size=1m"))?;
    let (theirs, mut client) = std::io::pipe()?;
    let mut running = outside.sandbox(profile).verb("mcp").client(theirs.into()).start()?;
    client.write_all(greeting().as_bytes())?;
    client.write_all(call("first", "sh", "echo made-of\"\"-one").as_bytes())?;
    running.says("made-of-one")?;
    let full = Path::new(STATE).join("full");
    ensure!(fs::write(&full, vec![1; 2 << 20]).is_err(), "the disk is not full");
    // The end of the file may have room left that the disk has not. So many are not too often.
    for number in 0..12 {
        let line = format!("echo more {number}");
        client.write_all(call(&line, "sh", &line).as_bytes())?;
    }
    client.write_all(calls().as_bytes())?;
    running.says("cannot be recorded")?;
    drop(client);
    let run = running.wait()?;
    umount2(STATE, MntFlags::MNT_DETACH)?;
    is_not_made(&run, "ENOSPC")
}

/// The client is told of the call that it was not made, and whoever runs it why.
fn is_not_made(run: &Run, errno: &str) -> Result<()> {
    ensure!(!run.stdout.contains("made-of-two"), "it was called: {}", run.stdout);
    let answers = run.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let answers: Vec<Value> = answers.collect();
    let its = answers.iter().find(|one| one["id"] == "sh");
    let its = its.with_context(|| format!("the call is not answered: {answers:?}"))?;
    ensure!(its.to_string().contains("cannot be recorded"), "the client is told {its}");
    ensure!(run.stderr.contains(errno), "nothing is said: {}", run.stderr);
    Ok(())
}

fn call(id: &str, tool: &str, line: &str) -> String {
    let asked = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                        "params": { "name": tool, "arguments": { "line": line } } });
    format!("{asked}\n")
}

/// What the client asks, all at once.
fn requests() -> String {
    greeting() + &calls()
}

fn greeting() -> String {
    [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "case", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
    ]
    .map(|message| format!("{message}\n"))
    .concat()
}

fn calls() -> String {
    [
        call("sh", "sh", &format!("echo made-of\"\"-two # {ASKED}")),
        call("absent", "absent", ASKED),
        call("asked", "unnamed", ASKED),
    ]
    .concat()
}
