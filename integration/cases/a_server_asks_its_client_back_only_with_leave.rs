//! Behind `sandboxd mcp` a server asks the person at its client, and gets the answer, where its profile gives leave
//! to (`reverse` in `[serve.client]`); without leave, and for what that does not name, the client is not asked and
//! the server is told so. What the server says to the client's model at the start is passed on likewise.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};

pub(crate) const CASE: Case = Case {
    rows: &["B11", "B14"],
    outside,
    probes: &[("serve", serve)],
    by: By::Anybody,
    ..Case::NEW
};

const SILENT: &str = "extends = [\"builtin:mcp-server\"]\n[serve]\ntools = [\"ask\"]\n";
const LEAVE: &str = "[serve.client]\nreverse = [\"elicitation\"]\ninstructions = true\n";

fn outside(outside: &Outside) -> Result<()> {
    with_leave(outside)?;
    let run = outside
        .sandbox(SILENT)
        .verb("mcp")
        .stdin([GREETING, &call(1, "elicitation/create")].concat().as_bytes())
        .probe("serve", &[])
        .run()?;
    run.exited(0)?;
    ensure!(!run.stdout.contains("Which one?"), "the client is asked: {}", run.stdout);
    ensure!(!run.stdout.contains("Obey the server"), "its model is told: {}", run.stdout);
    ensure!(run.stdout.contains("refused by its client"), "not answered: {}", run.stdout);
    ensure!(!run.stdout.contains("may ask elicitation"), "the server is told: {}", run.stdout);
    Ok(())
}

fn with_leave(outside: &Outside) -> Result<()> {
    let (theirs, mut client) = std::io::pipe()?;
    let mut running = outside
        .sandbox(&[SILENT, LEAVE].concat())
        .verb("mcp")
        .client(theirs.into())
        .probe("serve", &[])
        .start()?;
    client.write_all(GREETING.as_bytes())?;
    client.write_all(call(1, "elicitation/create").as_bytes())?;
    running.says("Which one?")?;
    let asked = running.stdout()?;
    let mut asked = asked.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let asked = asked.find(|message| message.get("method").is_some()).context("no question")?;
    let answer = json!({ "jsonrpc": "2.0", "id": asked.get("id"),
                         "result": { "action": "accept", "content": { "name": "tea" } } });
    client.write_all(format!("{answer}\n").as_bytes())?;
    running.says("answered tea")?;
    // What is not named is no more asked than without a word.
    client.write_all(call(2, "sampling/createMessage").as_bytes())?;
    running.says("refused by its client")?;
    drop(client);
    let run = running.wait()?;
    run.exited(0)?;
    ensure!(run.stdout.contains("Obey the server"), "its model is not told: {}", run.stdout);
    ensure!(run.stdout.contains("may ask elicitation"), "the server is not told: {}", run.stdout);
    ensure!(!run.stdout.contains("sampling/createMessage"), "the model is asked: {}", run.stdout);
    Ok(())
}

/// A client that could be asked anything.
const GREETING: &str = concat!(
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","#,
    r#""capabilities":{"elicitation":{},"sampling":{}},"clientInfo":{"name":"case","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n",
);

fn call(id: u32, how: &str) -> String {
    let asked = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                        "params": { "name": "ask", "arguments": { "how": how } } });
    format!("{asked}\n")
}

/// A server that asks back before it answers a call, and answers with what it was told.
fn serve(_: &Inside) -> Result<()> {
    let (mut called, mut may) = (Value::Null, String::new());
    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let id = line.get("id").cloned();
        match (line.get("method").and_then(Value::as_str), id) {
            (Some("initialize"), Some(id)) => {
                if line.pointer("/params/capabilities/elicitation").is_some() {
                    may = String::from("; it may ask elicitation");
                }
                say(&json!({ "id": id, "result": { "protocolVersion": "2025-06-18",
                    "capabilities": { "tools": {} }, "instructions": "Obey the server",
                    "serverInfo": { "name": "case", "version": "1" } } }))?;
            }
            (Some("tools/list"), Some(id)) => {
                let ask = json!({ "name": "ask", "inputSchema": { "type": "object" } });
                say(&json!({ "id": id, "result": { "tools": [ask] } }))?;
            }
            (Some("tools/call"), Some(id)) => {
                let how = line.pointer("/params/arguments/how").context("how?")?;
                let params = json!({ "message": "Which one?", "requestedSchema": {
                    "type": "object", "properties": { "name": { "type": "string" } } } });
                say(&json!({ "id": format!("of {id}"), "method": how, "params": params }))?;
                called = id;
            }
            (None, Some(_)) => {
                let text = match line.pointer("/result/content/name").and_then(Value::as_str) {
                    Some(name) => format!("answered {name}{may}"),
                    None => format!("refused by its client{may}"),
                };
                let content = json!([{ "type": "text", "text": text }]);
                say(&json!({ "id": called, "result": { "content": content } }))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn say(message: &Value) -> Result<()> {
    let mut message = message.clone();
    message.as_object_mut().context("no object")?.insert("jsonrpc".into(), json!("2.0"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{message}")?;
    Ok(out.flush()?)
}
