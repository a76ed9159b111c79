//! A tool that calls tools for others is no stepping stone: taken over, it reaches for each caller what
//! that caller was given, itself and through everything that it calls in turn.
//!
//! Two agents call the same aggregator, which has a tool for a vault; one of them was given the vault.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

pub(crate) const CASE: Case = Case { rows: &["B12"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let vault = outside.file("vault/secret", "what is in the vault")?;
    let notes = outside.file("notes/today", "what is in the notes")?;
    let all = [vault.clone(), notes.clone()];
    let keeper = outside.tool("keeper", &all, "")?;
    // Whatever its edge gives, it gives within what its own caller gave.
    let edge = outside.call("keeper", &keeper, std::slice::from_ref(&vault))?;
    let digest = outside.tool("digest", &all, &edge)?;
    let agent = |name: &str, given: &[PathBuf]| -> Result<String> {
        let edge = outside.call("digest", &digest, given)?;
        Ok(format!("name = \"{name}\"\nextends = [\"builtin:base\"]\n{edge}"))
    };
    // Taken over, it tries the vault itself and by its keeper.
    let cat =
        |path: &std::path::Path| json!({ "line": format!("cat {}", path.display()) }).to_string();
    let exploit = format!(
        "cat {0}; cat {1}; echo; /run/sandboxd/sandboxd call keeper sh '{2}'",
        vault.display(),
        notes.display(),
        cat(&vault),
    );
    // As an argument of an argument.
    let asked = json!({ "line": exploit }).to_string().replace('\'', "'\\''");
    let line = format!("/run/sandboxd/sandboxd call --json digest sh '{asked}' | tr -d '\\n'");

    let clerk = agent("clerk", &all)?;
    let run = outside.sandbox(&clerk).command(&["/bin/sh", "-c", &line]).run()?;
    run.exited(0)?;
    let reached = text(&run.stdout)?;
    let times = reached.matches("what is in the vault").count();
    ensure!(
        times == 2,
        "who was given the vault reaches it {times} times: {reached}, {}",
        run.stderr
    );

    let desk = agent("desk", &[notes])?;
    let run = outside.sandbox(&desk).command(&["/bin/sh", "-c", &line]).run()?;
    run.exited(0)?;
    let reached = text(&run.stdout)?;
    ensure!(reached.contains("what is in the notes"), "it reaches nothing: {reached}");
    ensure!(!reached.contains("what is in the vault"), "a stepping stone: {reached}");
    ensure!(fs::read_to_string(&vault)? == "what is in the vault");
    Ok(())
}

fn text(answer: &str) -> Result<String> {
    let answer: Value = serde_json::from_str(answer).with_context(|| answer.to_owned())?;
    let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| answer.to_string())
}
