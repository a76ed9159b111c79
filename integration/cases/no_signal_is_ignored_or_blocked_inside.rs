//! A command starts with no signal ignored and none blocked, although its supervisor ignores some:
//! pipelines end, and children are waited for. One whose caller ignores the end of its children ends as it does.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::process::Command;

pub(crate) const CASE: Case = Case { rows: &["T05"], outside, by: By::Anybody, ..Case::NEW };

/// Not a program of ours: the standard library of those ignores SIGPIPE by itself.
const STATUS: &[&str] = &["/bin/grep", "^Sig", "/proc/self/status"];
const NONE: &str = "0000000000000000";

fn outside(outside: &Outside) -> Result<()> {
    let sandbox = outside.sandbox("extends = [\"builtin:base\"]\n").command(STATUS);
    let run = sandbox.ignoring(&[libc::SIGCHLD]).run()?;
    run.exited(0)?;
    for set in ["SigIgn", "SigBlk"] {
        let wanted = format!("{set}:\t{NONE}");
        ensure!(run.stdout.contains(&wanted), "not {wanted:?}: {}", run.stdout);
    }
    a_limit_of_the_size_of_files_is_an_error(outside)
}

/// The signal that a file which reaches it sends would end sandboxd without a word.
fn a_limit_of_the_size_of_files_is_an_error(outside: &Outside) -> Result<()> {
    let mut sh = Command::new("/bin/sh");
    sh.args(["-c", "ulimit -f 0; exec \"$@\"", "sh"]);
    sh.arg(std::env::current_exe()?.with_file_name("sandboxd")).args(["run", "-q"]);
    sh.args(outside.waivers()).args(["--", "/bin/true"]);
    let ended = sh.env("XDG_STATE_HOME", outside.state()).output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(125), "it ended with {}: {said}", ended.status);
    ensure!(said.contains("EFBIG"), "not why: {said}");
    Ok(())
}
