//! Agents that serve without MCP are called along the same edges, by methods of their own: each request says who
//! calls and on whose behalf, as the kernel proved it, whatever its caller wrote there; methods that are not named
//! are not there; answers come to whoever asked, in whatever order.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside, Run};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

pub(crate) const CASE: Case = Case {
    rows: &["B02", "B11", "B12"],
    needs: &[Need::Program("/usr/bin/python3")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

/// Answers `who` with its parameters, `ask` with what the next one says, and two `pair` in the other order.
const SERVER: &str = r#"import json, subprocess, sys
def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
held = []
for line in sys.stdin:
    asked = json.loads(line)
    method, params = asked["method"], asked.get("params", {})
    if method == "note":
        say({"method": "noted", "params": {"of": params.get("word")}})
        say({"method": "unnamed", "params": {}})
    elif method == "who":
        say({"id": asked["id"], "result": params})
    elif method == "ask":
        next = subprocess.run(["/run/sandboxd/sandboxd", "call", "--method", "next", "who", "{}"],
                              stdout=subprocess.PIPE, check=True)
        say({"id": asked["id"], "result": json.loads(next.stdout)})
    elif method == "pair":
        held.append(asked)
        if len(held) == 2:
            for one in reversed(held):
                say({"id": one["id"], "result": one["params"]["word"]})
            held.clear()
    elif method == "fails":
        say({"id": asked["id"], "error": {"code": 7, "message": "it fails", "data": {"why": "asked"}}})
"#;

/// Says the lines that are its arguments, and tells the answers: there are three.
const CLIENT: &str = r#"import subprocess, sys
talk = subprocess.Popen(["/run/sandboxd/sandboxd", "connect", "hub"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
for line in sys.argv[1:]:
    print(line, file=talk.stdin, flush=True)
for _ in range(3):
    print(talk.stdout.readline(), end="")
talk.stdin.close()
print(talk.stdout.read())
"#;

/// An agent that calls a hub, which calls the next.
fn profile(outside: &Outside) -> Result<String> {
    let server = outside.file("server.py", SERVER)?;
    let serve = |name: &str, methods: &[&str], more: &str| -> Result<PathBuf> {
        let path = outside.dir().join(format!("{name}.toml"));
        let text = format!(
            "name = \"{name}\"\nextends = [\"builtin:mcp-server\"]\n{}[command]\nexec = [\"/usr/bin/python3\", {server:?}]\n\
             [files]\nread = [{server:?}]\n[serve]\nspeaks = \"json-rpc\"\nmethods = {methods:?}\n{more}",
            outside.leave(),
        );
        fs::write(&path, text)?;
        Ok(path)
    };
    let edge = |name: &str, profile: &PathBuf, methods: &[&str]| {
        format!(
            "[call.{name}]\nprofile = {profile:?}\nmethods = {methods:?}\n\
             grant.files.execute = [\"/usr\"]\ngrant.files.read = [{server:?}]\n"
        )
    };
    let next = serve("next", &["who"], "")?;
    let hub = serve(
        "hub",
        &["who", "ask", "pair", "note", "noted", "fails", "secret"],
        &edge("next", &next, &["who"]),
    )?;
    Ok(format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{}",
        edge("hub", &hub, &["who", "ask", "pair", "note*", "fails"])
    ))
}

fn outside(outside: &Outside) -> Result<()> {
    let profile = profile(outside)?;
    let forged = json!({ "word": 1.50, "_meta": { "dev.sandboxd/caller": "root", "own": [1] } });
    let call = |method: &str, params: &Value| {
        format!("/run/sandboxd/sandboxd call --method hub {method} '{params}'; echo \"= $?\"; ")
    };
    let talk = |id: &Value, method: &str, word: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { "word": word } });
    let lines = [
        talk(&json!(1), "pair", "one"),
        talk(&json!("1"), "pair", "other"),
        json!({ "jsonrpc": "2.0", "method": "note", "params": { "word": "heard" } }),
    ];
    let lines: String = lines.iter().map(|line| format!(" '{line}'")).collect();
    let script = [
        call("who", &forged),
        call("ask", &json!({})),
        call("fails", &json!({})),
        call("secret", &json!({})),
        call("absent", &json!({})),
        // As if it were a server of MCP.
        "/run/sandboxd/sandboxd call hub who; echo \"= $?\"; ".into(),
        format!("python3 -c '{CLIENT}'{lines}; cat /run/sandboxd/mcp.json"),
    ];
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script.concat()]).run()?;
    run.exited(0)?;
    answered(&run)?;
    let calls = outside.records()?;
    let who = calls
        .iter()
        .find(|one| one["kind"] == "call" && one["method"] == "who" && one["edge"] == "next");
    ensure!(who.context("no record")?["chain"] == json!(["agent", "hub"]), "{calls:?}");
    Ok(())
}

fn answered(run: &Run) -> Result<()> {
    let said: Vec<Value> =
        run.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let has = |wanted: Value| {
        ensure!(said.contains(&wanted), "{wanted} is not in {}{}", run.stdout, run.stderr);
        Ok(())
    };
    has(json!({ "word": 1.50, "_meta": {
        "own": [1], "dev.sandboxd/caller": "agent", "dev.sandboxd/chain": ["agent"] } }))?;
    has(json!({ "_meta": {
        "dev.sandboxd/caller": "hub", "dev.sandboxd/chain": ["agent", "hub"] } }))?;
    has(json!({ "jsonrpc": "2.0", "id": 1, "result": "one" }))?;
    has(json!({ "jsonrpc": "2.0", "id": "1", "result": "other" }))?;
    has(json!({ "jsonrpc": "2.0", "method": "noted", "params": { "of": "heard" } }))?;
    ensure!(!run.stdout.contains("unnamed"), "what is not named came back: {}", run.stdout);
    let failed = run.stderr.lines().filter(|line| line.starts_with("sandboxd call:"));
    let failed: Vec<&str> = failed.collect();
    let [fails, secret, absent, other] = failed.as_slice() else { anyhow::bail!("{}", run.stderr) };
    ensure!(fails.contains("it fails") && secret == absent, "{failed:?}");
    let remedy = run.stderr.contains("sandboxd call --method NAME METHOD");
    ensure!(other.contains("hub: ") && remedy, "{}", run.stderr);
    ensure!(run.stdout.matches("= 1").count() == 4, "{}", run.stdout);
    ensure!(!run.stdout.contains("connect\""), "it is no server of MCP: {}", run.stdout);
    Ok(())
}
