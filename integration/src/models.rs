//! A model's API on the host's loopback, in the formats of OpenAI and Anthropic, for whoever has its key.

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// The key that it wants.
pub const KEY: &str = "sk-of-a-model";

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hosts/models.py");

/// The API; gone when it is let go of.
#[derive(Debug)]
pub struct Api {
    process: Child,
    /// Where it listens.
    pub port: u16,
}

impl Api {
    /// Starts it.
    ///
    /// # Errors
    /// Where it does not say its port.
    pub fn start() -> Result<Self> {
        let mut process = Command::new("/usr/bin/python3")
            .args([SERVER, KEY])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context(SERVER)?;
        let said = process.stdout.take().context("no output")?;
        // From here on it ends with this, whether it says a port or not.
        let mut api = Self { process, port: 0 };
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        api.port = line.trim().parse().context("no port")?;
        Ok(api)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
