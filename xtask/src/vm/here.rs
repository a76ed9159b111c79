//! The cases that no guest could run, on this machine: the programs that they run are as big as a guest.

use super::{
    found::{Found, Outcome, Part, Told},
    payload::Payload,
    results::Results,
};
use anyhow::{Context as _, Result};
use std::{fs, process::Command};

/// Has each of these run here that did not run on this machine yet, and tells what is known then. What was not run for
/// want of a program may have it by now.
pub(super) fn finish(
    payload: &Payload,
    results: &Results,
    parts: &[Part],
    anew: bool,
) -> Result<Found> {
    let known = results.read()?;
    let is_left = |part: &&Part| {
        let ran = |told: &Told| told.outcome != Outcome::NotRun;
        anew || !known.cases.get(part).is_some_and(ran)
    };
    let left: Vec<&Part> = parts.iter().filter(is_left).collect();
    if left.is_empty() {
        return Ok(known);
    }
    println!("\n==> here: {} cases that ran in no guest", left.len());
    let these = payload.folder.join("these");
    let lines: Result<Vec<String>, _> = left.iter().map(serde_json::to_string).collect();
    fs::write(&these, format!("{}\n", lines?.join("\n")))?;
    // Whether all of them passed, the results tell.
    Command::new(payload.harness())
        .arg("--these")
        .arg(&these)
        .arg("--results")
        .arg(results.next()?)
        .status()
        .context("the harness")?;
    results.read()
}
