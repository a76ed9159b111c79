//! `sandboxd mcp`, as it is typed.

use super::Grants;
use crate::metrics::To;
use clap::Args;
use std::path::PathBuf;

/// Run an MCP server inside a sandbox, and let its client call what is named.
///
/// It takes the place of the server's command in any client's configuration (mcp.json): standard input
/// and output are the client's. Between the two stands a broker, a process of its own behind every layer:
/// the client sees and calls the tools, resources and prompts that [serve] of the profile names, and what is not
/// named is not there; arguments are held against each tool's own schema; a definition that changes is
/// hidden. Malformed lines never reach the server.
#[derive(Debug, Args)]
#[command(
    mut_arg("profile", |profile| profile.help("The profile: a file, or builtin:NAME. Without one: builtin:mcp-server")),
    after_help = "Exit status: as of sandboxd run.\n\nNo variable is passed on by itself, \"env\" of mcp.json neither: name each with -e.\n\nIn mcp.json, instead of \"command\": \"npx\", \"args\": [\"some-server\", \"/srv/notes\"]:\n  \"command\": \"sandboxd\",\n  \"args\": [\"mcp\", \"--tool\", \"read_*\", \"-r\", \"/srv/notes\", \"--\", \"some-server\", \"/srv/notes\"]"
)]
pub struct Mcp {
    /// The profile and what is laid over it.
    #[command(flatten)]
    pub grants: Grants,
    /// Let the client call this tool: a name, "read_*", or "*". Added to [serve].tools.
    #[arg(long = "tool", value_name = "NAME")]
    pub tools: Vec<String>,
    /// Hold each call of this tool until somebody approves it (sandboxd approve): a name, "write_*", or
    /// "*". Added to [serve].ask.
    #[arg(long, value_name = "NAME")]
    pub ask: Vec<String>,
    /// Write what was enforced to FILE, before the server starts (JSON).
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Write what became of the server to descriptor N (JSON).
    #[arg(long, value_name = "N")]
    pub result_fd: Option<i32>,
    /// Answer whoever reads metrics (Prometheus) while this runs, at a socket of this machine:
    /// unix:PATH, or 127.0.0.1:PORT.
    #[arg(long, value_name = "TO")]
    pub metrics: Option<To>,
    /// Say everything as JSON, one object a line, on standard error.
    #[arg(long)]
    pub json: bool,
    /// Say nothing but why the server was not started.
    #[arg(short, long)]
    pub quiet: bool,
}
