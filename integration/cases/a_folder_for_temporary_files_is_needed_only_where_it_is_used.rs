//! A run with a view of its own needs no folder for temporary files of the host's; one without is refused where it is
//! missing, and what else is wrong with a profile is told, wherever that is.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};

pub(crate) const CASE: Case = Case { rows: &["C05"], outside, by: By::Anybody, ..Case::NEW };

const BASE: &str = "extends = [\"builtin:base\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    let nowhere = outside.dir().join("nowhere");
    let run = |profile: &str| {
        let sandbox = outside.sandbox(profile).env("TMPDIR", &nowhere.to_string_lossy());
        sandbox.command(&["/bin/true"]).run()
    };
    run(BASE)?.exited(0)?;
    run(&format!("{BASE}[files]\nread = [\"/nowhere\"]\n"))?.has_problem(&["/nowhere"])?;
    let bare = run("extends = [\"builtin:container\"]\n")?;
    bare.not_started()?;
    ensure!(bare.stderr.contains("set TMPDIR"), "no remedy: {}", bare.stderr);
    Ok(())
}
