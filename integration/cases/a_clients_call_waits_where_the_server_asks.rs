//! Of the tools that `[serve].ask` names, each call of a client of `sandboxd mcp` is held until somebody approves
//! it; the others go on meanwhile, and what is denied never reaches the server.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};
use std::fs;

pub(crate) const CASE: Case = Case { rows: &["B14"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let server = outside.tool("server", &[], "ask = [\"s*\"]\n")?;
    let profile = fs::read_to_string(server)?.replace("tools = [\"sh\"]", "tools = [\"*\"]");
    let mut running = outside.sandbox(&profile).verb("mcp").stdin(requests().as_bytes()).start()?;
    // What nobody is asked about is answered, though a call before it waits.
    running.says("\"id\":\"free\"")?;
    let waiting = outside.waits_many(2)?;
    let id = |words: &str| -> Result<String> {
        let call = waiting.iter().find(|call| call.to_string().contains(words)).context("none")?;
        Ok(call.get("id").and_then(Value::as_str).context("no ID")?.to_owned())
    };
    for call in &waiting {
        ensure!(call.get("caller") == Some(&json!("client")), "who calls: {call}");
        ensure!(call.get("name") == Some(&json!("sh")), "what waits: {call}");
    }
    ensure!(outside.approver(&["deny", &id("echo denied")?])?.status == 0, "not denied");
    ensure!(outside.approver(&["approve", &id("echo approved")?])?.status == 0, "not approved");
    let run = running.wait()?;
    run.exited(0)?;
    let answers: Vec<Value> =
        run.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let text = |id: &str| {
        let answer = answers.iter().find(|answer| answer.get("id") == Some(&json!(id)));
        answer.and_then(|answer| answer.pointer("/result/content/0/text")).map(Value::to_string)
    };
    ensure!(text("approved").context("no answer")?.contains("approved"), "{}", run.stdout);
    let denied = text("denied").context("no answer")?;
    ensure!(denied.contains("not approved") && !denied.contains("denied\\n"), "{denied}");
    ensure!(run.stderr.contains("to be approved"), "nobody was told: {}", run.stderr);
    Ok(())
}

/// What the client asks, all at once.
fn requests() -> String {
    let call = |id: &str, tool: &str| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                "params": { "name": tool, "arguments": { "line": format!("echo {id}") } } })
    };
    [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "case", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        call("approved", "sh"),
        call("denied", "sh"),
        call("free", "unnamed"),
    ]
    .map(|message| format!("{message}\n"))
    .concat()
}
