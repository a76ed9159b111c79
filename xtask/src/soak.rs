//! `cargo xtask soak`: the cases that draw what they try, many times as often as CI has time for, and
//! those that try a part, in full.

use crate::test::Outcome;
use crate::tree::Tree;
use anyhow::{Result, ensure};
use clap::Args;

/// The cases that try more where they are soaked.
const CASES: &[&str] = &[
    "nothing_survives_any_kill",
    "an_error_at_any_step_runs_nothing",
    "an_error_in_the_supervisor_runs_nothing",
    "killed_at_any_step_it_leaves_nothing",
    "a_killed_supervisor_takes_its_sandbox_along",
    "two_hundred_starts_at_once_are_all_right",
    "many_callers_over_many_edges_get_each_its_own_answers",
    "output_without_end_needs_no_memory",
];

#[derive(Args)]
pub(crate) struct Typed {
    /// How many times as much: 10 are 5,000 kills
    #[arg(long, default_value_t = 10)]
    times: u32,
    /// Other cases than those that try more where they are soaked
    words: Vec<String>,
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    ensure!(typed.times > 0, "--times must be 1 or more");
    let mut given = vec![String::from("--soak"), typed.times.to_string()];
    if typed.words.is_empty() {
        given.extend(CASES.iter().map(|&name| name.to_owned()));
    } else {
        given.extend(typed.words.iter().cloned());
    }
    let outcome = Outcome::of_cases(tree, &given)?;
    ensure!(outcome.is_green(), "failed: {}", outcome.red.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::CASES;

    #[test]
    fn every_case_that_is_soaked_is_there() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../integration/cases");
        for name in CASES {
            assert!(folder.join(name).with_extension("rs").exists(), "{name}");
        }
    }
}
