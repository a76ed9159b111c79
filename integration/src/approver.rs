//! Whoever approves calls: outside, by the commands that a person types.

use crate::{Outside, patience, sandbox};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The variable by which a user's control sockets are found.
pub const FOLDER: &str = "XDG_RUNTIME_DIR";

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Standard output and error.
    pub text: String,
}

impl Outside {
    /// The folder of this user's that control sockets are made below, as a login has one; root's are in
    /// /run/sandboxd, whatever is said.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn login_folder(&self) -> Result<PathBuf> {
        let folder = self.dir().join("login");
        if !folder.exists() {
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(folder)
    }

    /// Where the control sockets are.
    ///
    /// # Errors
    /// Where the folder of a user's cannot be made.
    pub fn control_sockets(&self) -> Result<PathBuf> {
        let own = if self.is_user() { self.login_folder()? } else { PathBuf::from("/run") };
        Ok(own.join("sandboxd/approvals"))
    }

    /// What somebody who may approve types: `approvals`, `approve ID`, `deny ID`.
    ///
    /// # Errors
    /// Where it cannot be executed.
    pub fn approver(&self, words: &[&str]) -> Result<Said> {
        let mut command = Command::new(sandbox::product()?);
        let output = command.args(words).env(FOLDER, self.login_folder()?).output()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        if !text.is_empty() {
            self.note(&format!("$ sandboxd {}\n{text}", words.join(" ")));
        }
        Ok(Said { status: output.status.code().context("killed")?, text })
    }

    /// The calls that wait.
    ///
    /// # Errors
    /// Where they are not told.
    pub fn waiting(&self) -> Result<Vec<Value>> {
        let said = self.approver(&["approvals", "--json"])?;
        ensure!(said.status == 0, "{}", said.text);
        let calls =
            said.text.lines().map(|line| serde_json::from_str(line).context(line.to_owned()));
        calls.collect()
    }

    /// The calls that wait, once so many do.
    ///
    /// # Errors
    /// Where so many do not come.
    pub fn waits_many(&self, count: usize) -> Result<Vec<Value>> {
        let until = Instant::now() + patience(Duration::from_secs(20));
        loop {
            let calls = self.waiting()?;
            if calls.len() == count {
                return Ok(calls);
            }
            ensure!(Instant::now() < until, "not {count} calls wait: {calls:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The one call that waits, once one does whose parameters hold these words: its ID, and what is told
    /// of it.
    ///
    /// # Errors
    /// Where none comes, or others wait too.
    pub fn waits(&self, words: &str) -> Result<(String, Value)> {
        let until = Instant::now() + patience(Duration::from_secs(20));
        loop {
            let mut calls = self.waiting()?;
            let is_it = |call: &Value| {
                call.get("parameters").is_some_and(|it| it.to_string().contains(words))
            };
            if calls.iter().any(is_it) {
                let call =
                    calls.pop().filter(|_| calls.is_empty()).context("several calls wait")?;
                let id = call.get("id").and_then(Value::as_str).context("no ID")?.to_owned();
                return Ok((id, call));
            }
            if Instant::now() > until {
                bail!("no call waits with {words:?}: {calls:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
