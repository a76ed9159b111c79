//! Programs of the folder `hosts`, which play the hosts that a sandbox asks.

use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hosts");

/// One of them; gone when it is let go of.
#[derive(Debug)]
pub struct Serving {
    process: Child,
    said: String,
}

impl Serving {
    /// Starts it with these arguments, and waits for its first line.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn begin<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<Self> {
        // `-B`: nothing is compiled into the tree.
        let process = Command::new("/usr/bin/python3")
            .arg("-B")
            .arg(Path::new(HOSTS).join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.to_owned())?;
        // From here on it ends with this, whether it says something or not.
        let mut serving = Self { process, said: String::new() };
        let output = serving.process.stdout.take().context("no output")?;
        BufReader::new(output).read_line(&mut serving.said)?;
        Ok(serving)
    }

    /// Its first line.
    #[must_use]
    pub fn said(&self) -> &str {
        self.said.trim_end()
    }

    /// Where its first line is `ready`.
    ///
    /// # Errors
    /// Where it is not.
    pub fn ready(self) -> Result<Self> {
        anyhow::ensure!(self.said() == "ready", "the hosts said {:?}", self.said);
        Ok(self)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
