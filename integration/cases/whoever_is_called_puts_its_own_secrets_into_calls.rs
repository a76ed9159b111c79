//! Of an agent, of what that calls, and of what is called in turn, each has the secrets of its own profile stand in
//! its calls, under whatever name: a tool that was taken over and calls for its caller cannot have it told to others,
//! whether it was started for that caller or kept ready.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const CASE: Case =
    Case { rows: &["N17", "B12"], outside, by: By::Anybody, seconds: 120, ..Case::NEW };

const AGENTS: &str = "the-agents-hunter2-0123456789";
const MIDDLES: &str = "the-middles-hunter3-0123456789";

/// What is called is told its caller's, writes the placeholder itself, and has the keeper say what that was.
const LINE: &str = r#"printf %s '{{secret:db}}' | wc -c
P='{{sec''ret:db}}'
/run/sandboxd/sandboxd call --json keeper sh "{\"line\": \"printf %s '$P' | tee /tmp/told; echo; wc -c < /tmp/told\"}" | tr -d '\n '"#;

fn outside(outside: &Outside) -> Result<()> {
    let own = secret(outside, "middles", MIDDLES, "keeper")?;
    let agents = secret(outside, "agents", AGENTS, "middle")?;
    let keeper = outside.tool("keeper", &[], "")?;
    let leads = outside.call("keeper", &keeper, &[])?;
    for (name, words, ready, expected) in [
        ("has", format!("{leads}{own}"), "", MIDDLES.len()),
        ("kept", format!("{leads}{own}"), "ready = 1\n", MIDDLES.len()),
        // As it was written.
        ("none", leads.clone(), "", "{{secret:db}}".len()),
    ] {
        let middle = outside.tool(name, &[], &words)?;
        let edge = outside.call("middle", &middle, &[])?;
        let edge = edge.replacen("tools = [\"sh\"]\n", &format!("tools = [\"sh\"]\n{ready}"), 1);
        let profile = format!("name = \"agent\"\nextends = [\"builtin:base\"]\n{edge}{agents}");
        let asked = json!({ "line": LINE }).to_string().replace('\'', "'\\''");
        let script =
            format!("/run/sandboxd/sandboxd call --json middle sh '{asked}' | tr -d '\\n'");
        let running = outside
            .sandbox(&profile)
            .command(&["/bin/sh", "-c", &format!("sleep 1; {script}")])
            .start()?;
        if !ready.is_empty() {
            running.keeps_ready(1)?;
        }
        let run = running.wait()?;
        run.exited(0)?;
        let said = text(&run.stdout)?;
        ensure!(
            said.starts_with(&format!("{}\n", AGENTS.len())),
            "{name}: it was not told its own: {said}"
        );
        ensure!(
            said.contains(&format!("\\n{expected}\\n")),
            "{name}: the keeper was told another: {said}"
        );
        ensure!(!said.contains("hunter"), "{name}: {said}");
    }
    Ok(())
}

/// A secret that its profile calls `db`, in the calls of this edge.
fn secret(outside: &Outside, file: &str, value: &str, call: &str) -> Result<String> {
    let path = outside.dir().join(file);
    fs::write(&path, value)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
    Ok(format!(
        "[secrets.db]\nfrom = \"file:{}\"\nplaceholder = {{ call = \"{call}\", tools = [\"sh\"], arguments = [\"/line\"] }}\n",
        path.display()
    ))
}

fn text(answer: &str) -> Result<String> {
    let answer: Value = serde_json::from_str(answer).with_context(|| answer.to_owned())?;
    let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| answer.to_string())
}
