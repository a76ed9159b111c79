//! A command that calls does so along the edges of its profile: each call runs in a sandbox of its own,
//! under what the edge gives and then under the tool's own profile, with nothing of the caller's in it.
//! What is not named is not there.
//!
//! The tool does whatever it is asked; what it reaches is all that the kernel lets it.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub(crate) const CASE: Case = Case { rows: &["B11"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let given = outside.file("given/file", "given to the edge")?;
    let tools_own = outside.file("tools-own/file", "the tool's profile alone")?;
    let callers = outside.file("callers/file", "the caller's own")?;
    let all = [given.clone(), tools_own.clone(), callers.clone()];
    let tool = outside.tool(
        "tool",
        &all,
        &format!("[[files.bind]]\nfrom = {given:?}\nto = {given:?}\naccess = \"write\"\n"),
    )?;
    let profile = format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[env]\nset = {{ OF_THE_AGENT = \"1\" }}\n\
         [files]\nread = [{callers:?}]\n\
         [call.own]\nprofile = {tool:?}\ntools = [\"sh\"]\n{}",
        outside.call("tool", &tool, std::slice::from_ref(&given))?
    );
    let script = script([&given, &tools_own, &callers]);
    let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).run()?;
    run.exited(0)?;
    let lines: Vec<&str> = run.stdout.lines().collect();
    let [own_uid, direct, read, others, who, own, unnamed, absent, nobody, servers @ ..] =
        lines.as_slice()
    else {
        anyhow::bail!("too little was said: {}, {}", run.stdout, run.stderr);
    };
    ensure!(!direct.contains("given to the edge"), "the agent reads it itself: {direct}");
    let text = |line: &str| -> Result<String> {
        let answer: Value = serde_json::from_str(line)?;
        let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
        Ok(text.map_or_else(|| answer.to_string(), str::to_owned))
    };
    ensure!(text(read)?.trim() == "given to the edge", "not what was given: {read}");
    let others = text(others)?;
    let more = ["alone", "caller's own"].iter().any(|word| others.contains(word));
    ensure!(!more, "it reached more: {others}");
    let kept = std::fs::read_to_string(&given)?;
    ensure!(kept == "given to the edge", "what was given to read was written: {kept}");
    let who = text(who)?;
    ensure!(!who.contains("OF_THE_AGENT"), "the caller's environment is there: {who}");
    ensure!(!who.contains("broker.sock"), "a tool that calls nobody has an endpoint: {who}");
    if !outside.is_user() {
        ensure!(!who.lines().any(|line| line == *own_uid), "its caller's uid {own_uid}: {who}");
    }
    ensure!(own.is_empty() || !text(own)?.contains("ran"), "it ran without its program: {own}");
    let hidden = unnamed.replace("unnamed", "TOOL");
    ensure!(
        hidden.contains("-32602") && hidden == absent.replace("absent", "TOOL"),
        "{unnamed} and {absent}"
    );
    ensure!(*nobody == "125", "an edge that is not there: {nobody}");
    let servers: Value = serde_json::from_str(&servers.concat())?;
    ensure!(
        servers.pointer("/mcpServers/tool/args") == Some(&json!(["connect", "tool"])),
        "{servers}"
    );
    under_another_profile(outside, &profile, &given)?;
    what_cannot_be_carried_is_said_at_once(outside, &profile)
}

/// What a run is under, all that is called for it is under: an edge gives nothing back of it.
fn under_another_profile(outside: &Outside, profile: &str, given: &Path) -> Result<()> {
    let (tool, callers) = (std::env::current_exe()?, outside.dir().join("callers"));
    let site = outside.dir().join("site.toml");
    let line = json!({ "line": format!("echo ran; cat {}", given.display()) }).to_string();
    let call = ["/run/sandboxd/sandboxd", "call", "tool", "sh", &line];
    for (shows, reaches) in [(vec![&*callers, given], true), (vec![&*callers], false)] {
        let leave = outside.leave();
        let text = format!(
            "name = \"site\"\nextends = [\"builtin:base\"]\n{leave}[files]\nexecute = [{tool:?}]\nread = {shows:?}\n"
        );
        fs::write(&site, text)?;
        let run = outside.sandbox(profile).option("--under").option(&site).command(&call).run()?;
        run.exited(0)?;
        ensure!(run.stdout.contains("ran"), "nothing was called: {}", run.stdout);
        let reached = run.stdout.contains("given to the edge");
        ensure!(reached == reaches, "under a site that gives it ({reaches}): {}", run.stdout);
    }
    Ok(())
}

/// `check` knows what `run` knows.
fn what_cannot_be_carried_is_said_at_once(outside: &Outside, profile: &str) -> Result<()> {
    let profile = profile.replacen("tools = [\"sh\"]", "tools = [\"absent\"]", 1);
    for verb in ["check", "run"] {
        let said = outside.sandbox(&profile).verb(verb).run()?;
        said.exited(125)?;
        ensure!(said.stderr.contains("absent"), "{verb}: {}", said.stderr);
        ensure!(said.stderr.contains("remedy"), "{verb}: {}", said.stderr);
    }
    Ok(())
}

/// What the agent does: a line of output for each thing that it tries.
fn script(files: [&Path; 3]) -> String {
    let [given, tools_own, callers] = files.map(Path::display);
    let asked = |line: String| json!({ "line": line }).to_string();
    let calls = [
        ("tool", asked(format!("cat {}", given))),
        ("tool", asked(format!("echo more >> {}; cat {} {}", given, tools_own, callers))),
        ("tool", asked(String::from("env; id -u; ls /run/sandboxd; ls /proc"))),
        // Without a grant, the caller's own authority: which has not even the tool's program.
        ("own", asked(String::from("echo ran"))),
    ];
    let mut script = format!("id -u; cat {} 2>&1\n", given);
    for (edge, arguments) in &calls {
        script.push_str(&format!(
            "/run/sandboxd/sandboxd call --json {edge} sh '{arguments}' | tr -d '\\n'; echo\n"
        ));
    }
    script.push_str("/run/sandboxd/sandboxd call --json tool unnamed '{}' | tr -d '\\n'; echo\n");
    script.push_str("/run/sandboxd/sandboxd call --json tool absent '{}' | tr -d '\\n'; echo\n");
    script.push_str("/run/sandboxd/sandboxd call nobody; echo $?; cat /run/sandboxd/mcp.json\n");
    script
}
