//! A file that is open for writing only, given as standard input by mistake (`0>> log`), is not handed to
//! the command, which could truncate and forge it.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Outside};
use std::fs::{self, File};
use std::process::Command;

pub(crate) const CASE: Case = Case { rows: &["F35"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let log = outside.file("log", "what was there")?;
    let sandboxd = std::env::current_exe()?.with_file_name("sandboxd");
    let run = Command::new(sandboxd)
        .args(["run", "-p", "builtin:base"])
        .args(outside.waivers())
        .args(["--", "/bin/sh", "-c", "echo forged >&0"])
        .env("XDG_STATE_HOME", outside.state())
        .stdin(File::options().append(true).open(&log)?)
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.code() == Some(125), "{}: {said}", run.status);
    ensure!(said.contains("open it for reading"), "no remedy: {said}");
    ensure!(fs::read_to_string(&log)? == "what was there", "the file was written");
    Ok(())
}
