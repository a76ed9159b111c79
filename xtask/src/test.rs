//! `cargo xtask test`: the tests beside the code, then every case inside a real sandbox.

mod failures;
mod tally;

use crate::{process, tree::Tree};
use anyhow::{Result, bail};
use clap::Args;
use failures::Failures;
use tally::Tally;

/// What a test beside the code says of itself where this host cannot run it; why follows.
const NOT_RUN: &str = "not run: ";

/// What the harness says of a run that ended as one that was not started does, where a case wanted another end.
const NOT_STARTED: &str = "exit status: 125";

#[derive(Args)]
pub(crate) struct Typed {
    /// Leave out the tests beside the code
    #[arg(long, conflicts_with = "no_cases")]
    no_unit: bool,
    /// Leave out the cases, some of which need root
    #[arg(long)]
    no_cases: bool,
    /// Given to the harness: names of cases and its own options
    #[arg(last = true, conflicts_with = "no_cases")]
    cases: Vec<String>,
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    let mut sum = Tally::default();
    let mut failures = Failures::default();
    let mut red = Vec::new();
    if !typed.no_unit && !unit(tree, &mut sum, &mut failures)? {
        red.push("the tests beside the code");
    }
    if !typed.no_cases && !cases(tree, &typed.cases, &mut sum, &mut failures)? {
        red.push("the cases");
    }
    if !failures.lines.is_empty() {
        println!("\nOnce more, what failed:\n{}", failures.lines.join("\n"));
    }
    // The last line is for whoever counts; what went wrong stands above it and in the exit status.
    println!("\n{sum}");
    if !red.is_empty() || sum.failed > 0 {
        bail!("failed: {}", red.join(" and "));
    }
    if sum.passed == 0 {
        bail!("not one test ran");
    }
    Ok(())
}

/// Everything, as CI runs it.
pub(crate) fn all(tree: &Tree) -> Result<()> {
    run(tree, &Typed { no_unit: false, no_cases: false, cases: Vec::new() })
}

fn unit(tree: &Tree, sum: &mut Tally, failures: &mut Failures) -> Result<bool> {
    let mut cargo = process::cargo(&tree.root);
    cargo.args(["test", "--locked", "--no-fail-fast", "--workspace", "--exclude=sandboxd-shim"]);
    // What a test says is shown, because one that this host cannot run says so, and cargo counts it as passed.
    cargo.args(["--", "--show-output"]);
    process::lines(&mut cargo, |line| {
        println!("{line}");
        failures.hear(line);
        if let Some(tally) = Tally::of_cargo(line) {
            sum.add(tally);
        }
        if line.starts_with(NOT_RUN) {
            sum.was_not_run();
        }
    })
}

fn cases(tree: &Tree, given: &[String], sum: &mut Tally, failures: &mut Failures) -> Result<bool> {
    let outcome = Outcome::of_cases(tree, given)?;
    sum.add(outcome.tally);
    failures.lines.extend(outcome.failures.lines);
    Ok(outcome.green)
}

/// What a run of the cases came to.
pub(crate) struct Outcome {
    tally: Tally,
    /// Whether the harness said by its exit status that all is well.
    green: bool,
    /// The cases that passed, by name.
    pub(crate) passed: Vec<String>,
    /// The cases that failed, by name: one that is run twice may have passed, too.
    pub(crate) red: Vec<String>,
    /// Of these, the ones of which a run was not started that was wanted: they say nothing of what it would have done.
    pub(crate) not_started: Vec<String>,
    failures: Failures,
}

impl Outcome {
    /// Builds the product as it ships, because it is the product that is tested, and runs the cases.
    pub(crate) fn of_cases(tree: &Tree, given: &[String]) -> Result<Self> {
        Self::of(tree, &["--release"], given)
    }

    /// The same without waiting for the optimiser, for a product that never ships.
    pub(crate) fn of_quick(tree: &Tree, given: &[String]) -> Result<Self> {
        Self::of(tree, &[], given)
    }

    fn of(tree: &Tree, profile: &[&str], given: &[String]) -> Result<Self> {
        let cargo = || {
            let mut cargo = process::cargo(&tree.root);
            cargo.env("CARGO_TARGET_DIR", &tree.target);
            cargo
        };
        process::run(cargo().args(["build", "--locked", "-psandboxd"]).args(profile))?;
        let (mut last, mut failures) = (None, Failures::default());
        let (mut passed, mut red, mut not_started) = (Vec::new(), Vec::new(), Vec::new());
        let green = process::lines(
            cargo()
                .args(["run", "--locked", "-psandboxd-integration"])
                .args(profile)
                .arg("--")
                .args(given),
            |line| {
                println!("{line}");
                failures.hear(line);
                last = Tally::of_ours(line).or(last);
                passed.extend(case(line, "ok   "));
                red.extend(case(line, "FAILED "));
                not_started.extend(case(line, "FAILED ").filter(|_| line.contains(NOT_STARTED)));
            },
        )?;
        match last {
            Some(tally) => Ok(Self { tally, green, passed, red, not_started, failures }),
            None => bail!("the harness ended without a line `N passed, N failed`"),
        }
    }

    /// Whether every case that ran passed, and at least one ran.
    pub(crate) fn is_green(&self) -> bool {
        self.green && self.tally.failed == 0 && self.tally.passed > 0
    }
}

/// The case that a line of the harness reports with this word: `FAILED name …`.
fn case(line: &str, word: &str) -> Option<String> {
    line.strip_prefix(word)?.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_cases_are_read() {
        assert_eq!(case("ok   a_case (as a user) 0.10 s", "ok   ").as_deref(), Some("a_case"));
        assert_eq!(case("FAILED a_case 0.10 s: why", "FAILED ").as_deref(), Some("a_case"));
        assert_eq!(case("    FAILED to go on", "FAILED "), None);
        assert_eq!(case("not run: a_case: needs root", "ok   "), None);
    }
}
