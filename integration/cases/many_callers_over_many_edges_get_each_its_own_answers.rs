//! Many connections call over many edges at once, each with calls in a row before the first is answered: every call
//! is answered once, with what was asked for in it and nothing of anybody else's, and the budget is spent to the
//! last call and not beyond it.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use serde_json::Value;

pub(crate) const CASE: Case = Case {
    rows: &["B11"],
    needs: &[Need::Program("/usr/bin/python3")],
    outside,
    by: By::Anybody,
    seconds: 240,
    ..Case::NEW
};

/// Connections over each edge, and calls over each.
const CONNECTIONS: usize = 4;
const CALLS: usize = 4;
/// An edge to a process of its own for each connection, to one that takes turns, and to one for all.
const EDGES: [(&str, &str); 3] =
    [("own", ""), ("turns", "instances = \"serial\"\n"), ("shared", "instances = \"attenuate\"\n")];
/// Fewer than there are calls, and than a caller may make at once.
const BUDGET: usize = 40;

/// Connects so often over each edge, writes all its requests, and tells of each answer what it was.
const CLIENT: &str = r#"import json, subprocess, sys, threading
connections, calls = int(sys.argv[1]), int(sys.argv[2])
told, lock = [], threading.Lock()
def client(edge, number):
    talk = subprocess.Popen(["/run/sandboxd/sandboxd", "connect", edge],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    def say(message):
        talk.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        talk.stdin.flush()
    say({"id": "hello", "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {},
         "clientInfo": {"name": "case", "version": "1"}}})
    talk.stdout.readline()
    say({"method": "notifications/initialized"})
    words = {}
    for call in range(calls):
        # The same ids everywhere: what is told apart must be told apart by the broker.
        words[call] = f"{edge}-{number}-{call}"
        say({"id": call, "method": "tools/call",
             "params": {"name": "sh", "arguments": {"line": "sleep 0.0" + str(call) + "; echo " + words[call]}}})
    seen = []
    while len(seen) < calls:
        answer = json.loads(talk.stdout.readline())
        result = answer.get("result", {})
        text = result.get("content", [{}])[0].get("text", "").strip()
        right = text == words.get(answer["id"]) and not result.get("isError")
        spent = "budget of calls is used up" in text
        busy = "Too many calls are in progress" in text
        seen.append({"edge": edge, "number": number, "id": answer["id"], "right": right, "spent": spent, "busy": busy,
                     "answer": None if right or spent or busy else answer})
    talk.stdin.close()
    more = talk.stdout.read().strip()
    with lock:
        told.extend(seen)
        if more:
            told.append({"more": more})
threads = [threading.Thread(target=client, args=(edge, number))
           for edge in sys.argv[3:] for number in range(connections)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(told))
"#;

fn outside(outside: &Outside) -> Result<()> {
    for round in 0..outside.times(1) {
        once(outside, round)?;
    }
    Ok(())
}

fn once(outside: &Outside, round: usize) -> Result<()> {
    let client = outside.file("client.py", CLIENT)?;
    // Each is an agent of its own, with a rate of its own.
    let mut profile = format!(
        "name = \"agent-{round}\"\nextends = [\"builtin:base\"]\n[files]\nread = [{client:?}]\n[budget]\ncalls = {BUDGET}\n"
    );
    for (name, instances) in EDGES {
        let tool = outside.tool(name, &[], &format!("in_flight = 64\n{instances}"))?;
        profile.push_str(&outside.call(name, &tool, &[])?);
        profile.push_str("in_flight = 16\n");
    }
    let (connections, calls) = (CONNECTIONS.to_string(), CALLS.to_string());
    let path = client.display().to_string();
    let words = ["/usr/bin/python3", &path, &connections, &calls];
    let words: Vec<&str> = words.into_iter().chain(EDGES.map(|(name, _)| name)).collect();
    let run = outside.sandbox(&profile).command(&words).run()?;
    run.exited(0)?;
    let told: Vec<Value> = serde_json::from_str(run.stdout.trim()).context("told nothing")?;
    ensure!(told.len() == EDGES.len() * CONNECTIONS * CALLS, "not one answer each: {told:?}");
    let is = |one: &Value, key: &str| one.get(key) == Some(&Value::Bool(true));
    let known = |one: &Value| ["right", "spent", "busy"].iter().any(|key| is(one, key));
    let wrong = told.iter().find(|one| !known(one));
    ensure!(wrong.is_none(), "what was not asked for: {wrong:?}");
    // What waited too long on a slow machine was spent, too.
    let made = told.iter().filter(|one| is(one, "right") || is(one, "busy")).count();
    ensure!(made == BUDGET, "{made} calls of a budget of {BUDGET}");
    let mut asked: Vec<String> = told
        .iter()
        .map(|one| ["edge", "number", "id"].map(|key| one.get(key).map(Value::to_string)))
        .map(|of| format!("{of:?}"))
        .collect();
    asked.sort_unstable();
    asked.dedup();
    ensure!(asked.len() == told.len(), "some were answered twice");
    Ok(())
}
