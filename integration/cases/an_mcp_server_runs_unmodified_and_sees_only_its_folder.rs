//! An MCP server from npm answers on standard input and output about the folder it is granted, and
//! reaches nothing outside it, whatever it was told to allow; through the broker of `sandboxd mcp` as well.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{Case, Need, Outside, Run};
use serde_json::{Value, json};
use std::path::Path;

/// Where `.ci/run` installs it.
const SERVER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/npm/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"
);

pub(crate) const CASE: Case = Case {
    rows: &["F01", "F08"],
    needs: &[Need::Program("/usr/bin/node"), Need::Path(SERVER)],
    outside,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let server = Path::new(SERVER).canonicalize()?;
    let modules = server.ancestors().find(|path| path.ends_with("node_modules"));
    let modules = modules.context("no node_modules")?;
    let granted = outside.file("ws/notes/granted.txt", "from the notes")?;
    let notes = granted.parent().context("no folder")?;
    let new = notes.join("new.txt");
    let canary = outside.canary("ws/private/secret.txt")?;
    let planted = outside.dir().join("ws/private/planted.txt");
    // The server itself is told to allow the whole folder, so that only the kernel refuses.
    let told = outside.dir();
    let messages = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "case", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
        call(3, "read_text_file", &json!({ "path": granted })),
        call(4, "read_text_file", &json!({ "path": canary.path() })),
        call(5, "write_file", &json!({ "path": new, "content": "x" })),
        call(6, "write_file", &json!({ "path": planted, "content": "x" })),
    ];
    let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let text = |path: &Path| path.to_string_lossy().into_owned();
    for through_broker in [false, true] {
        let mut sandbox = outside.bare();
        if through_broker {
            sandbox = sandbox.verb("mcp").option("--tool=*");
        }
        let run = sandbox
            .option("--profile=builtin:mcp-server")
            .option("-r")
            .option(notes)
            .option("-r")
            .option(modules)
            .stdin(lines.as_bytes())
            .command(&["node", &text(&server), &text(told)])
            .run()?;
        run.exited(0)?.keeps(&canary)?;
        answered(&run)?;
        ensure!(!new.exists() && !planted.exists(), "it wrote");
    }
    canary.unchanged()
}

fn answered(run: &Run) -> Result<()> {
    let answers: Vec<Value> =
        run.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let answer = |id: u32| answers.iter().find(|answer| answer["id"] == id).context(id);
    ensure!(at(answer(1)?, "/result/protocolVersion")? == "2025-06-18", "not initialized");
    let tools = at(answer(2)?, "/result/tools")?.as_array().context("no list of tools")?;
    ensure!(tools.iter().any(|tool| tool["name"] == "read_text_file"), "the tool is not listed");
    let read = at(answer(3)?, "/result/content/0/text")?;
    ensure!(read == "from the notes", "read {read}");
    for id in [4, 5, 6] {
        let refused = at(answer(id)?, "/result/isError")?;
        ensure!(refused == true, "{id} was answered");
    }
    Ok(())
}

fn at<'a>(answer: &'a Value, place: &str) -> Result<&'a Value> {
    answer.pointer(place).with_context(|| format!("no {place} in {answer}"))
}

fn call(id: u32, tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments } })
}
