//! Profiles that call and are called, with a tool in them that does whatever it is asked: an adversary
//! that has taken over what is called.

use crate::Outside;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// A server of MCP with a tool `sh`, which runs a line in a shell and answers with what that wrote; or with such tools
/// by the names that it is started with.
pub(crate) fn play(names: &[&str]) -> Result<ExitCode> {
    let names = if names.is_empty() { &["sh", "unnamed"][..] } else { names };
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let Some(id) = asked.get("id") else { continue };
        let result = match asked.get("method").and_then(Value::as_str) {
            Some("initialize") => json!({
                "protocolVersion": asked.pointer("/params/protocolVersion"),
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "case", "version": "1" },
            }),
            Some("tools/list") => {
                let schema =
                    json!({ "type": "object", "properties": { "line": { "type": "string" } } });
                let tool = |name: &&str| json!({ "name": name, "inputSchema": schema });
                json!({ "tools": names.iter().map(tool).collect::<Vec<Value>>() })
            }
            _ => {
                let line = asked.pointer("/params/arguments/line").and_then(Value::as_str);
                let ran =
                    Command::new("/bin/sh").arg("-c").arg(line.context("no line")?).output()?;
                let said = [ran.stdout, ran.stderr].concat();
                let text = String::from_utf8_lossy(&said).into_owned();
                json!({ "content": [{ "type": "text", "text": text }] })
            }
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", json!({ "jsonrpc": "2.0", "id": id, "result": result }))?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Outside {
    /// The profile of such a tool, with these words beside those that it needs, and what lies at these
    /// paths to be read. It is called by a `[call.*]` that names its path.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn tool(&self, name: &str, reads: &[PathBuf], words: &str) -> Result<PathBuf> {
        let program = std::env::current_exe()?;
        let text = format!(
            "name = \"{name}\"\nextends = [\"builtin:mcp-server\"]\n{}[command]\nexec = [{program:?}, \"tool\"]\n\
             [files]\nexecute = [{program:?}]\nread = {reads:?}\n[serve]\ntools = [\"sh\"]\n{words}",
            self.leave(),
        );
        // Beside the profiles of the runs: whoever owns what is worked on must not own these.
        let path = self.dir().join(format!("{name}.toml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// A `[call.NAME]` of such a tool, which may read these paths on its caller's behalf.
    ///
    /// # Errors
    /// Where this program has no path.
    pub fn call(&self, name: &str, profile: &PathBuf, reads: &[PathBuf]) -> Result<String> {
        let program = std::env::current_exe()?;
        Ok(format!(
            "[call.{name}]\nprofile = {profile:?}\ntools = [\"sh\"]\n\
             grant.files.execute = [\"/usr\", {program:?}]\ngrant.files.read = {reads:?}\n"
        ))
    }

    /// What an ordinary user's sandbox lacks, as a profile waives it.
    #[must_use]
    pub fn leave(&self) -> &'static str {
        const ALL: &str = "[require]\ncgroup = \"if-available\"\nuid = \"if-available\"\nmemfd_noexec = \"if-available\"\n";
        if self.is_user() { ALL } else { "" }
    }
}
