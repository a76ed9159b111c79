//! How fast output goes through a terminal of the sandbox's own, beside script(1), which carries it
//! without looking. Both are run at a terminal, which another script(1) is.

use super::Built;
use super::paired::{self, Runner, wall_time};
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::process::Command;

/// Lines of what is shown: some 30 MB.
const LINES: usize = 500_000;

pub(crate) fn run(built: &Built, rounds: usize) -> Result<()> {
    let file = built.folder.join("lines");
    let mut text = String::new();
    for number in 0..LINES {
        writeln!(text, "the quick brown fox jumps over the lazy dog and is line {number:08}")?;
    }
    std::fs::write(&file, text).context("what is shown")?;
    let cat = format!("cat {}", file.display());
    let inside =
        format!("{} run --quiet -r {} -- {cat}", built.sandboxd.display(), built.folder.display());
    let beside = format!("script -qc '{cat}' /dev/null");
    let at_a_terminal = |line: &str| {
        let mut script = Command::new("script");
        script.args(["-qc", line, "/dev/null"]);
        script
    };
    let mut runners = [
        Runner::new("sandboxd run", || wall_time(&mut at_a_terminal(&inside))),
        Runner::new("script(1)", || wall_time(&mut at_a_terminal(&beside))),
    ];
    paired::run(&mut runners, rounds)?;
    let [sandboxd, script] = &runners;
    paired::print(&runners, script);
    println!("\nsandboxd / script(1): {:.2} (1.00 at most is wanted)", sandboxd.ratio(script));
    Ok(())
}
