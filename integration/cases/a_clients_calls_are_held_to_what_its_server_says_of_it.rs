//! How the client of `sandboxd mcp` calls, its server's profile says (`[serve.client]`): a call that takes longer than
//! it may is cancelled, one whose line is longer or whose arguments do not fit never reaches the server; and where a
//! profile, or the command line, lets a call take longer, it does.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside, Run, patience};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

pub(crate) const CASE: Case = Case { rows: &["B11"], outside, by: By::Anybody, ..Case::NEW };

const CLIENT: &str = r#"
[serve.client]
max_request = "4K"
max_result = "4K"
arguments.sh = { properties = { line = { pattern = "^(echo|sleep|printf) " } } }
"#;

fn outside(outside: &Outside) -> Result<()> {
    let profile = |client: &str| -> Result<String> {
        Ok(fs::read_to_string(outside.tool("server", &[], client)?)?)
    };
    let run = outside.sandbox(&profile(CLIENT)?).verb("mcp").stdin(requests().as_bytes()).run()?;
    run.exited(0)?;
    told(&run, "quick", "made-of-one")?;
    told(&run, "unfit", "Invalid arguments")?;
    told(&run, "much", "more bytes than")?;
    ensure!(run.stdout.contains("the line is too long"), "no word of it: {}", run.stdout);
    for word in ["made-of-unfit", "made-of-long", "000001"] {
        ensure!(!run.stdout.contains(word), "{word} came through: {}", run.stdout);
    }
    let most = patience(Duration::from_secs(2)).as_secs();
    let profile = profile(&format!("{CLIENT}deadline = \"{most}s\"\n"))?;
    let slow = |options: &[&str]| -> Result<Run> {
        let line = format!("sleep {}; echo made-of\"\"-slow", 2 * most);
        let asked = [greeting(), call("slow", &line)].concat();
        let client = outside.sandbox(&profile).verb("mcp").stdin(asked.as_bytes());
        options.iter().fold(client, |client, option| client.option(option)).run()
    };
    told(&slow(&[])?, "slow", "No answer came in time")?;
    // The command line has the last word.
    let run = slow(&["--set=serve.client.deadline=\"10m\""])?;
    run.exited(0)?;
    told(&run, "slow", "made-of-slow")
}

fn told(run: &Run, id: &str, words: &str) -> Result<()> {
    let mut answers = run.stdout.lines().map(serde_json::from_str::<Value>);
    let its = answers.find(|one| one.as_ref().is_ok_and(|one| one.get("id") == Some(&json!(id))));
    let its = its.with_context(|| format!("{id:?} is not answered: {}", run.stdout))??;
    ensure!(its.to_string().contains(words), "{id:?} is told {its}");
    Ok(())
}

/// What the client asks, all at once; no word of an answer stands in what is asked.
fn requests() -> String {
    let long = format!("echo made-of\"\"-long {}", "x".repeat(5000));
    [
        greeting(),
        call("quick", "echo made-of\"\"-one"),
        call("unfit", "true; echo made-of\"\"-unfit"),
        call("long", &long),
        call("much", "printf %05000d 1"),
    ]
    .concat()
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

fn call(id: &str, line: &str) -> String {
    let asked = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                        "params": { "name": "sh", "arguments": { "line": line } } });
    format!("{asked}\n")
}
