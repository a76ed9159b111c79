//! `why` says of calls what the broker then does: random lists of tools at an edge and at what it leads to, asked of
//! random tools, which a command with the same profile then calls.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside, Random};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

pub(crate) const CASE: Case =
    Case { rows: &["B11", "E28"], seconds: 120, outside, by: By::Anybody, ..Case::NEW };

const PROFILES: usize = 4;
/// Calls of one run that are refused: with more of them within a minute a caller is in quarantine.
const DENIED: usize = 5;
const ALLOWED: usize = 4;

/// What the server has.
const TOOLS: [&str; 8] = ["get", "get_a", "get_b", "put", "put_a", "list", "sh", "unnamed"];
/// What lists name.
const PATTERNS: [&str; 9] = ["get", "get*", "get_*", "get_a", "put", "put_a", "p*", "list", "*"];
const EDGES: [&str; 4] = ["tool", "tool", "tool", "nobody"];

fn outside(outside: &Outside) -> Result<()> {
    let seed = if outside.soaks() { u64::from(std::process::id()) } else { 19 };
    outside.note(&format!("the seed is {seed}"));
    let mut random = Random::new(seed | 1);
    let (mut ran, mut refused, mut allowed) = (0, 0, 0);
    for round in 0..outside.times(PROFILES) {
        let profile = profile(outside, &mut random)?;
        let told = format!("round {round} of seed {seed}\n{profile}");
        let (mut may, mut may_not) = (Vec::new(), Vec::new());
        for edge in EDGES {
            for tool in TOOLS.into_iter().filter(|_| random.below(2) == 0) {
                match ask(outside, &profile, edge, tool)? {
                    Some(true) => may.push((edge, tool)),
                    Some(false) => may_not.push((edge, tool)),
                    None => {}
                }
            }
        }
        may.truncate(ALLOWED);
        may_not.truncate(DENIED);
        let asked: Vec<_> = may.iter().chain(&may_not).collect();
        let mut script = String::new();
        for (edge, tool) in &asked {
            let line = "{\"line\":\"echo called\"}";
            writeln!(script, "/run/sandboxd/sandboxd call {edge} {tool} '{line}'; echo \"= $?\"")?;
        }
        let run = outside.sandbox(&profile).command(&["/bin/sh", "-c", &script]).run()?;
        if run.exit() == Some(125) {
            ensure!(asked.is_empty(), "it is asked about and not run: {told}\n{}", run.stderr);
            continue;
        }
        run.exited(0).with_context(|| told.clone())?;
        ran += 1;
        let ends: Vec<&str> = run.stdout.split_inclusive("= ").collect();
        ensure!(ends.len() == asked.len() + 1, "{told}\n{}", run.stdout);
        for (at, (edge, tool)) in asked.iter().enumerate() {
            let called = ends.get(at).is_some_and(|said| said.contains("called"));
            let said = at < may.len();
            ensure!(
                called == said,
                "{edge} {tool}: {said} is said, {called} is so: {told}\n{}{}",
                run.stdout,
                run.stderr
            );
            if called { allowed += 1 } else { refused += 1 }
        }
    }
    outside.tell(&format!("seed {seed}: {ran} runs, {allowed} called, {refused} refused"));
    ensure!(ran > 0 && allowed > 3 && refused > 3, "{ran} runs: {allowed} to {refused}");
    Ok(())
}

/// An agent, and what it calls, each with a list of tools.
fn profile(outside: &Outside, random: &mut Random) -> Result<String> {
    let program = std::env::current_exe()?;
    let words: Vec<String> = TOOLS.iter().map(|tool| format!("{tool:?}")).collect();
    let tool = outside.dir().join("tool.toml");
    let text = format!(
        "name = \"tool\"\nextends = [\"builtin:mcp-server\"]\n{}[command]\nexec = [{program:?}, \"tool\", {}]\n\
         [files]\nexecute = [{program:?}]\n[serve]\ntools = {:?}\n",
        outside.leave(),
        words.join(", "),
        list(random),
    );
    fs::write(&tool, text)?;
    Ok(format!(
        "name = \"agent\"\nextends = [\"builtin:base\"]\n[call.tool]\nprofile = {tool:?}\ntools = {:?}\n\
         grant.files.execute = [\"/usr\", {program:?}]\n",
        list(random),
    ))
}

fn list(random: &mut Random) -> Vec<&'static str> {
    let mut list: Vec<&str> = (0..1 + random.below(3)).map(|_| random.pick(&PATTERNS)).collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Whether `sandboxd why` says that it may; nothing where the profile cannot be run.
fn ask(outside: &Outside, profile: &str, edge: &str, tool: &str) -> Result<Option<bool>> {
    let asked = outside.sandbox(profile).verb("why").option("--json");
    let run = asked.option("--call").option(edge).option(tool).run()?;
    if run.exit() == Some(125) {
        return Ok(None);
    }
    let told: Value = serde_json::from_str(&run.stdout).context("the answer is no JSON")?;
    let allowed = told.get("allowed").and_then(Value::as_bool).context("no verdict")?;
    run.exited(i32::from(!allowed))?;
    Ok(Some(allowed))
}
