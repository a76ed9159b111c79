//! Through `sandboxd mcp` a client lists and calls the tools that are named and no others, and reads resources by no other
//! way than they are named by; hidden and absent ones are told apart by nothing, and no line reaches the server that is malformed, ambiguous, too
//! long, or has arguments that the tool does not take. Who reads these lines has no right and no file.
//!
//! The server writes down every line that reaches it, which the observer reads.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, Write as _};

pub(crate) const CASE: Case = Case {
    rows: &["B02", "B08", "B11"],
    outside,
    probes: &[("serve", serve)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let seen = ws.join("seen");
    let profile = format!(
        "extends = [\"builtin:mcp-server\"]\n[files]\nwrite = [{ws:?}]\n[serve]\ntools = [\"read_*\"]\n\
         resources = [\"file:///srv/public/*\"]\n"
    );
    let run = outside
        .sandbox(&profile)
        .verb("mcp")
        .stdin(requests().as_bytes())
        .probe("serve", &[seen.to_str().context("UTF-8")?])
        .run()?;
    run.exited(0)?;
    let answers: Vec<Value> =
        run.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let answer = |id: Value| {
        let found = answers.iter().find(|answer| answer["id"] == id);
        found.with_context(|| format!("no answer to {id} in {}", run.stdout))
    };
    let names: Vec<&str> = answer(json!(2))?
        .pointer("/result/tools")
        .and_then(Value::as_array)
        .context("no tools")?
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    ensure!(names == ["read_one"], "it lists {names:?}");
    let read = answer(json!("3"))?;
    ensure!(read.pointer("/result/content/0/text") == Some(&json!("done")), "read_one: {read}");
    // All that differs is what the client itself wrote.
    let (mut hidden, mut absent) =
        (answer(json!("4"))?.to_string(), answer(json!("5"))?.to_string());
    hidden = hidden.replace("write_one", "TOOL").replace("\"4\"", "ID");
    absent = absent.replace("no_such", "TOOL").replace("\"5\"", "ID");
    ensure!(hidden == absent && hidden.contains("-32602"), "{hidden} and {absent}");
    ensure!(
        answer(json!("6"))?.pointer("/result/isError") == Some(&json!(true)),
        "wrong arguments were taken"
    );
    ensure!(answer(json!("10"))?.get("result").is_some(), "a resource that is named");
    for (id, _) in ELSEWHERE {
        let hidden = answer(json!(id))?.to_string();
        ensure!(hidden.contains("Unknown resource"), "{hidden}");
    }
    let refused =
        answers.iter().filter(|it| it.pointer("/error/code") == Some(&json!(-32600))).count();
    ensure!(refused >= 1, "a doubled key was taken: {}", run.stdout);

    let seen = fs::read_to_string(&seen)?;
    ensure!(seen.contains("marked") && seen.contains("1.50"), "not carried as it was: {seen}");
    ensure!(seen.contains("\"name\":\"client\""), "the client is whoever it says: {seen}");
    ensure!(seen.contains("public/open"), "a resource that is named: {seen}");
    for word in ["\"case\"", "hidden", "absent", "wrong", "xxxx", "doubled", "private"] {
        ensure!(!seen.contains(word), "{word:?} reached the server: {seen}");
    }
    without_a_word_nothing(outside)
}

/// Resources that begin like what is named, and lead elsewhere: no more than may be denied within a minute, with the others.
const ELSEWHERE: [(&str, &str); 3] = [
    ("11", "file:///srv/public/../private"),
    ("12", "file:///srv/public/%2E%2e/private"),
    ("13", "file:///srv/public/.\t./private"),
];

/// What the client asks, all at once.
fn requests() -> String {
    let mut requests = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "case", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
        call("4", "write_one", &json!({ "path": "hidden" })),
        call("5", "no_such", &json!({ "path": "absent" })),
        call("6", "read_one", &json!({ "path": 5, "mark": "wrong" })),
        call("7", "read_one", &json!({ "path": "x".repeat(2 << 20) })),
    ]
    .map(|message| format!("{message}\n"))
    .concat();
    for (id, uri) in ELSEWHERE.into_iter().chain([("10", "file:///srv/public/open")]) {
        let read = json!({ "jsonrpc": "2.0", "id": id, "method": "resources/read", "params": { "uri": uri } });
        requests.push_str(&format!("{read}\n"));
    }
    // As text, since what is carried is to be the very number.
    requests.push_str(
        "{\"jsonrpc\":\"2.0\",\"id\":\"3\",\"method\":\"tools/call\",\"params\":{\"name\":\"read_one\",\"arguments\":{\"path\":\"marked\",\"unknown\":1.50}}}\n\
         {\"jsonrpc\":\"2.0\",\"id\":8,\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"read_one\",\"arguments\":{\"path\":\"doubled\"}}}\n",
    );
    requests
}

/// What is not named is not there: without `[serve]` nothing is started.
fn without_a_word_nothing(outside: &Outside) -> Result<()> {
    let run = outside
        .sandbox("extends = [\"builtin:mcp-server\"]\n")
        .verb("mcp")
        .stdin(b"")
        .command(&["/bin/echo", "ran"])
        .run()?;
    run.exited(125)?;
    ensure!(run.stdout.is_empty(), "it ran: {}", run.stdout);
    ensure!(run.stderr.contains("--tool"), "no remedy: {}", run.stderr);
    Ok(())
}

fn call(id: &str, tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments } })
}

/// A server that answers everything, and would do whatever it is asked.
fn serve(inside: &Inside) -> Result<()> {
    let mut seen = File::create(inside.path(0)?)?;
    let schema = json!({ "type": "object", "properties": { "path": { "type": "string" } } });
    let tool = |name: &str| json!({ "name": name, "inputSchema": schema });
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        writeln!(seen, "{line}")?;
        let asked: Value = serde_json::from_str(&line)?;
        let Some(id) = asked.get("id") else { continue };
        let result = match asked.get("method").and_then(Value::as_str) {
            Some("initialize") => json!({ "protocolVersion": "2025-06-18",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "case", "version": "1" } }),
            Some("tools/list") => json!({ "tools": [tool("read_one"), tool("write_one")] }),
            _ => json!({ "content": [{ "type": "text", "text": "done" }] }),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", json!({ "jsonrpc": "2.0", "id": id, "result": result }))?;
        out.flush()?;
    }
    Ok(())
}
