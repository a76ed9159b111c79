//! Profiles that call and are called, with a tool in them that does whatever it is asked: an adversary
//! that has taken over what is called.

use crate::Outside;
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

/// A server of MCP with one tool `sh`, which runs a line in a shell and answers with what that wrote.
const SERVER: &str = r#"
import json, subprocess, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method, params = asked["method"], asked.get("params", {})
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "case", "version": "1"}}
    elif method == "tools/list":
        schema = {"type": "object", "properties": {"line": {"type": "string"}}}
        result = {"tools": [{"name": name, "inputSchema": schema} for name in ("sh", "unnamed")]}
    else:
        ran = subprocess.run(["/bin/sh", "-c", params["arguments"]["line"]], capture_output=True, text=True)
        result = {"content": [{"type": "text", "text": ran.stdout + ran.stderr}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"#;

impl Outside {
    /// The profile of such a tool, with these words beside those that it needs. It is called by a
    /// `[call.*]` that names its path.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn tool(&self, name: &str, words: &str) -> Result<PathBuf> {
        let server = self.server()?;
        let text = format!(
            "name = \"{name}\"\nextends = [\"builtin:mcp-server\"]\n{}[command]\nexec = [\"/usr/bin/python3\", {server:?}]\n\
             [serve]\ntools = [\"sh\"]\n{words}",
            self.leave(),
        );
        // Beside the profiles of the runs: whoever owns what is worked on must not own these.
        let path = self.dir().join(format!("{name}.toml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The folder of the program of all such tools, which a grant has to let be read.
    ///
    /// # Errors
    /// Where the program cannot be written.
    pub fn tools(&self) -> Result<PathBuf> {
        self.server()?;
        Ok(self.dir().join("tools"))
    }

    fn server(&self) -> Result<PathBuf> {
        self.file("tools/server.py", SERVER)
    }

    /// What an ordinary user's sandbox lacks, as a profile waives it.
    fn leave(&self) -> &'static str {
        const ALL: &str = "[require]\ncgroup = \"if-available\"\nuid = \"if-available\"\nmemfd_noexec = \"if-available\"\n";
        if self.is_user() { ALL } else { "" }
    }
}
