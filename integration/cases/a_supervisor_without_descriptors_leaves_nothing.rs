//! A supervisor that runs out of descriptors, at once or in the middle of a start, starts nothing and
//! leaves nothing.

use anyhow::{Context as _, Result};
use sandboxd_integration::{Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["C05"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let mut started = 0;
    // The dynamic linker needs the fifth.
    for most in 6..64 {
        let run = outside
            .sandbox("extends = [\"builtin:base\"]\n")
            .command(&["/bin/echo", "ran"])
            .open_files(most)
            .run()?;
        if run.exit() == Some(0) {
            started += 1;
        } else {
            run.not_started().with_context(|| format!("with {most} descriptors"))?;
        }
    }
    outside.note(&format!("started {started} times"));
    Ok(())
}
