//! A supervisor that may have too few descriptors says so before anything is made, however few they are; with as many as
//! it asks for it never runs out of them in the middle of a start.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["C05"], outside, by: By::Anybody, ..Case::NEW };

/// What the supervisor asks for before it starts anything.
const ENOUGH: u64 = 160;

fn outside(outside: &Outside) -> Result<()> {
    // A dynamic linker would need the fifth.
    for most in (6..64).chain((64..=200).step_by(8)) {
        let run = outside
            .sandbox("extends = [\"builtin:base\"]\n[limits]\nopen_files = 64\n")
            .command(&["/bin/echo", "ran"])
            .open_files(most)
            .run()?;
        let with = || format!("with {most} descriptors");
        if most < ENOUGH {
            run.not_started().with_context(with)?;
            ensure!(run.stderr.contains("RLIMIT_NOFILE"), "{}: {}", with(), run.stderr);
        } else {
            run.exited(0).with_context(with)?;
        }
    }
    Ok(())
}
