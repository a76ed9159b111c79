//! Callers that read no answers, as many as may connect and each of an answer as long as may be, and a tool that lists
//! what takes much to be checked: the broker holds of all of it what it may, a caller that behaves is answered
//! meanwhile, and the audit log has whose connection was closed for it.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use serde_json::Value;

pub(crate) const CASE: Case = Case {
    rows: &["B10", "B17"],
    needs: &[Need::Program("/usr/bin/python3")],
    outside,
    by: By::Anybody,
    seconds: 240,
    ..Case::NEW
};

/// A server of a tool that works, one that answers with 40 MB, and many whose schemas take as much as schemas may.
const SERVER: &str = r#"import json, sys
def heavy(tool):
    return {"name": f"heavy{tool}", "inputSchema": {"patternProperties":
            {"a{1,2000}b{%d}c{%d}" % (tool, n): True for n in range(1, 3)}}}
tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("works", "long")]
tools += [heavy(tool) for tool in range(1, 401)]
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    if asked.get("params", {}).get("name") == "long":
        sys.stdout.write('{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % asked["id"])
        for _ in range(40):
            sys.stdout.write("x" * 1000000)
        print('"}]}}', flush=True)
        continue
    result = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                             "serverInfo": {"name": "case", "version": "1"}},
              "tools/list": {"tools": tools},
              "tools/call": {"content": [{"type": "text", "text": "it works"}]}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result.get(asked["method"], {})}), flush=True)
"#;

/// Asks for the long answer on so many connections and reads nothing, until one is closed; behaves on another one
/// meanwhile; and tells how that was answered.
const CLIENT: &str = r#"import json, select, socket, sys, time
def connect():
    stream = socket.socket(socket.AF_UNIX)
    stream.connect("/run/sandboxd/broker.sock")
    say(stream, {"method": "dev.sandboxd/connect", "params": {"name": "tool"}})
    return stream
def say(stream, message):
    stream.sendall((json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())
def call(stream, tool):
    say(stream, {"id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
def answer(stream, method, **params):
    say(stream, {"id": 2, "method": method, "params": params})
    return json.loads(stream.makefile().readline())["result"]
behaves, told = connect(), {"works": 0}
told["listed"] = len(answer(behaves, "tools/list")["tools"])
greedy = [connect() for _ in range(int(sys.argv[1]))]
for stream in greedy:
    call(stream, "long")
closed = select.poll()
for stream in greedy:
    closed.register(stream, 0)
until = time.monotonic() + 120
while time.monotonic() < until and not told.get("closed"):
    text = answer(behaves, "tools/call", name="works", arguments={"n": told["works"]})["content"][0]["text"]
    told["works"] += text == "it works"
    told["closed"] = len(closed.poll(100))
print(json.dumps(told))
"#;

/// Connections that read nothing: 320 MB are asked for on them, and the broker has 256 MiB.
const GREEDY: usize = 8;

fn outside(outside: &Outside) -> Result<()> {
    let (server, client) = (outside.file("server.py", SERVER)?, outside.file("client.py", CLIENT)?);
    let tool = outside.dir().join("tool.toml");
    std::fs::write(
        &tool,
        format!(
            "name = \"tool\"\nextends = [\"builtin:mcp-server\"]\n{}[command]\n\
             exec = [\"/usr/bin/python3\", {server:?}]\n[files]\nread = [{server:?}]\n[serve]\n\
             tools = [\"*\"]\nrate = \"unlimited\"\n",
            outside.leave()
        ),
    )?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[files]\nread = [{client:?}]\n\
         [budget]\nrate = \"unlimited\"\n[call.tool]\nprofile = {tool:?}\ntools = [\"*\"]\n\
         grant.files.execute = [\"/usr\"]\ngrant.files.read = [{server:?}]\nrate = \"unlimited\"\n\
         max_result = \"64M\"\n"
    );
    let path = client.display().to_string();
    let command = ["/usr/bin/python3", &path, &GREEDY.to_string()];
    let run = outside.sandbox(&profile).command(&command).run()?;
    run.exited(0)?;
    let told: Value = serde_json::from_str(run.stdout.trim()).context("told nothing")?;
    let count = |key: &str| told.get(key).and_then(Value::as_u64).unwrap_or(0);
    ensure!((3..100).contains(&count("listed")), "as many tools are there as fit: {told}");
    ensure!(count("works") > 0 && count("closed") > 0, "{told}");
    let records = outside.records()?;
    let overfull = |one: &&Value| one.get("rule").and_then(Value::as_str) == Some("overfull");
    ensure!(records.iter().any(|one| overfull(&one)), "it is not written down");
    Ok(())
}
