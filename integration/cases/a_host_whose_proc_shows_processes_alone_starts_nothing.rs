//! Where the host's `/proc` shows processes alone, as a unit with `ProcSubset=pid` has it, nothing is run: a sandbox's own
//! shows all of it, of which nothing would be known that is to be covered.

use anyhow::{Result, ensure};
use sandboxd_integration::{Case, Outside};
use std::process::Command;

pub(crate) const CASE: Case = Case { rows: &["F27"], outside, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    // What is granted where nothing is said.
    let ws = outside.workspace()?;
    let product = std::env::current_exe()?.with_file_name("sandboxd");
    let run = |before: &str| {
        let script = format!("{before} exec \"$0\" run -- /bin/cat /proc/interrupts");
        let mut command = Command::new("unshare");
        command.args(["--mount", "/bin/sh", "-c", &script]).arg(&product).current_dir(&ws).output()
    };
    let told = run("")?;
    // cat(1) runs, and may not read what covers it.
    ensure!(told.status.code() == Some(1) && told.stdout.is_empty(), "it is not covered: {told:?}");
    let told = run("mount -t proc -o subset=pid proc /proc &&")?;
    let words = String::from_utf8_lossy(&told.stderr);
    ensure!(told.status.code() == Some(125) && told.stdout.is_empty(), "it ran: {told:?}");
    ensure!(words.contains("shows only processes") && words.contains("ProcSubset=all"), "{words}");
    Ok(())
}
