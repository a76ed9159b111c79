//! While a run lasts, whoever may open its metrics socket reads what it has done, in a form that Prometheus
//! takes; what is asked there, and how, changes nothing; an agent makes no series by what it writes, and can
//! put no other socket there, nor can what it calls.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::{By, Case, Need, Outside, patience};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where `.ci/run` installs Prometheus's own parser.
const PARSER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/prometheus");

pub(crate) const CASE: Case = Case {
    rows: &["X06", "B11"],
    needs: &[Need::Program("/usr/bin/python3"), Need::Path(PARSER)],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

/// Takes what was read apart, and prints each sample with its labels as JSON.
const PARSE: &str = "import sys, json\n\
    from prometheus_client.parser import text_string_to_metric_families as families\n\
    for family in families(sys.stdin.read()):\n\
    \x20   assert family.documentation and family.type in ('counter', 'gauge', 'histogram'), family\n\
    \x20   for one in family.samples:\n\
    \x20       print(json.dumps([one.name, one.labels, one.value]))\n";

fn outside(outside: &Outside) -> Result<()> {
    let tool = outside.tool("tool", &[], "")?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n{}",
        outside.call("tool", &tool, &[])?
    );
    let call = |name: &str, line: &str| {
        let arguments = json!({ "line": line });
        format!("/run/sandboxd/sandboxd call tool {name} '{arguments}'; ")
    };
    let many: String = (0..5).map(|number| call(&format!("made-up-{number}"), "x")).collect();
    let script = call("sh", "true") + &call("sh", "true") + &many + "echo \"done\"; read line";
    let socket = outside.workspace()?.join("numbers");
    let (held, end) = std::io::pipe()?;
    let mut running = outside
        .sandbox(&profile)
        .option(format!("--metrics=unix:{}", socket.display()))
        .client(held.into())
        .command(&["/bin/sh", "-c", &script])
        .start()?;
    running.says("done")?;
    for asked in [&[0xff; 100_000][..], b"\n"] {
        read(&socket, asked)?;
    }
    let text = counted(&socket)?;
    let samples = parsed(&text)?;
    let has = |name: &str, labels: Value, value: f64| {
        let is = |sample: &&Value| sample[0] == name && sample[1] == labels;
        let found = samples.iter().find(is).and_then(|sample| sample[2].as_f64());
        ensure!(found == Some(value), "{name}{labels} is {found:?} in\n{text}");
        Ok(())
    };
    let edge = |decision: &str, tool: &str| json!({ "caller": "agent", "callee": "tool", "method": "tools/call", "tool": tool, "decision": decision });
    has("sandboxd_calls_total", edge("allowed", "sh"), 2.0)?;
    has("sandboxd_calls_total", edge("refused", ""), 5.0)?;
    has(
        "sandboxd_denials_total",
        json!({ "caller": "agent", "callee": "tool", "rule": "reach" }),
        5.0,
    )?;
    has("sandboxd_calls_in_flight", json!({ "caller": "agent", "callee": "tool" }), 0.0)?;
    has("sandboxd_sandboxes", json!({ "profile": "agent" }), 1.0)?;
    has("sandboxd_audit_up", json!({}), 1.0)?;
    has("sandboxd_kernel_feature", json!({ "name": "landlock" }), 1.0)?;
    has("gateway_active_connections", json!({}), 0.0)?;
    ensure!(!text.contains("made-up"), "an agent's words are in it: {text}");
    drop(end);
    running.wait()?.exited(1)?;
    ensure!(!socket.exists(), "the socket outlives the run");
    loads(outside)?;
    in_reach(outside, &profile)?;
    let far = outside.sandbox(&profile).option("--metrics=0.0.0.0:9464").command(&["/bin/true"]);
    let far = far.run()?;
    ensure!(far.status.code() == Some(125) && far.stderr.contains("loopback"), "{}", far.stderr);
    Ok(())
}

/// Calls that wait for their turn, and a tool that crashes until it is left alone.
fn loads(outside: &Outside) -> Result<()> {
    let mut profile = String::from("name = \"agent\"\nextends = [\"builtin:base\"]\n");
    for name in ["slow", "broken"] {
        let tool = outside.tool(name, &[], "")?;
        profile.push_str(&outside.call(name, &tool, &[])?);
        profile.push_str("in_flight = 1\n");
    }
    let call = |name: &str, line: &str| {
        format!("/run/sandboxd/sandboxd call {name} sh '{}'", json!({ "line": line }))
    };
    let slow = call("slow", "sleep 600");
    let broken = call("broken", "kill -9 $PPID") + "; ";
    // Nobody waits for long: whoever was refused comes again.
    let script = format!("{}echo up; {slow} & while :; do {slow}; done", broken.repeat(5));
    let socket = outside.workspace()?.join("loads");
    let mut running = outside
        .sandbox(&profile)
        .option(format!("--metrics=unix:{}", socket.display()))
        .command(&["/bin/sh", "-c", &script])
        .start()?;
    running.says("up")?;
    let breaker = "sandboxd_breaker_state{callee=\"broken\"} 2";
    until(&socket, &["sandboxd_queue_depth{callee=\"slow\"} 1", breaker])?;
    running.signal(Signal::SIGTERM)?;
    running.wait()?;
    Ok(())
}

/// A folder that the command may write, or a tool that it calls.
fn in_reach(outside: &Outside, profile: &str) -> Result<()> {
    let folder = outside.workspace()?.join("shared");
    std::fs::create_dir(&folder)?;
    let socket = format!("--metrics=unix:{}/numbers", folder.display());
    let written = format!("{profile}[files]\nwrite = [{folder:?}]\n");
    let run = outside.sandbox(&written).option(&socket).command(&["/bin/echo", "ran"]).run()?;
    ensure!(
        run.status.code() == Some(125) && !run.stdout.contains("ran"),
        "the agent may write it: it ran"
    );
    ensure!(run.stderr.contains("--metrics would create its socket in it"), "{}", run.stderr);
    let tool = outside.tool("writer", &[], "")?;
    let text = std::fs::read_to_string(&tool)?;
    std::fs::write(&tool, text.replace("[files]\n", &format!("[files]\nwrite = [{folder:?}]\n")))?;
    let edge = outside.call("writer", &tool, &[])?;
    let calls = format!("{profile}{edge}grant.files.write = [{folder:?}]\n");
    let asks = "/run/sandboxd/sandboxd call writer sh '{\"line\": \"echo reached\"}'; true";
    let reached = outside.sandbox(&calls).command(&["/bin/sh", "-c", asks]).run()?;
    ensure!(reached.stdout.contains("reached"), "{}{}", reached.stdout, reached.stderr);
    let run = outside.sandbox(&calls).option(&socket).command(&["/bin/sh", "-c", asks]).run()?;
    ensure!(!run.stdout.contains("reached"), "what is called may write it: {}", run.stdout);
    ensure!(run.stderr.contains("--metrics would create its socket in it"), "{}", run.stderr);
    Ok(())
}

/// What is answered once all was counted: what the broker has told, the supervisor may not have heard yet.
fn counted(socket: &Path) -> Result<String> {
    until(socket, &["decision=\"refused\"} 5", "gateway_active_connections 0"])
}

/// What is answered once this is in it.
fn until(socket: &Path, lines: &[&str]) -> Result<String> {
    let until = Instant::now() + patience(Duration::from_secs(30));
    loop {
        let text = read(socket, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")?;
        if lines.iter().all(|line| text.contains(line)) {
            return Ok(text);
        }
        ensure!(Instant::now() < until, "{lines:?} is not in\n{text}");
        sleep(Duration::from_millis(50));
    }
}

/// What is answered where this is asked.
fn read(socket: &Path, asked: &[u8]) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(asked)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, text) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains("200 OK") && head.contains("version=0.0.4"), "{head}");
    Ok(text.to_owned())
}

fn parsed(text: &str) -> Result<Vec<Value>> {
    let mut python = Command::new("/usr/bin/python3");
    python.env("PYTHONPATH", PARSER);
    python.args(["-c", PARSE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn()?;
    python.stdin.take().context("no pipe")?.write_all(text.as_bytes())?;
    let output = python.wait_with_output()?;
    ensure!(output.status.success(), "Prometheus's parser does not take it:\n{text}");
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}
