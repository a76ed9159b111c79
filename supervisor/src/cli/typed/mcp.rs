//! `sandboxd mcp`, as it is typed.

use super::Grants;
use crate::metrics::To;
use clap::Args;
use std::path::PathBuf;

/// Run an MCP server in a sandbox, and let its client call only the tools you list.
///
/// Use it in place of the server's command in any client's configuration (mcp.json): standard input and
/// output are the client's. A broker, itself sandboxed, sits between the two. The client sees and calls only
/// the tools, resources and prompts that [serve] of the profile lists; others do not exist for it. Arguments
/// are checked against each tool's schema, and a tool whose definition changes is hidden. Malformed messages
/// never reach the server.
#[derive(Debug, Args)]
#[command(
    mut_arg("profile", |profile| profile.help("The profile: a file, or builtin:NAME. Default: builtin:mcp-server")),
    after_help = "Exit status: as for sandboxd run.\n\nNo environment variable is passed on by default, not even \"env\" of mcp.json: name each with -e.\n\nIn mcp.json, instead of \"command\": \"npx\", \"args\": [\"some-server\", \"/srv/notes\"]:\n  \"command\": \"sandboxd\",\n  \"args\": [\"mcp\", \"--tool\", \"read_*\", \"-r\", \"/srv/notes\",\n           \"--\", \"some-server\", \"/srv/notes\"]"
)]
pub struct Mcp {
    /// The profile, and the options that override it.
    #[command(flatten)]
    pub grants: Grants,
    /// Let the client call this tool: a name, "read_*", or "*". Added to [serve].tools.
    #[arg(long = "tool", value_name = "NAME")]
    pub tools: Vec<String>,
    /// Hold each call of this tool until a person approves it (sandboxd approve): a name, "write_*", or
    /// "*". Added to [serve].ask.
    #[arg(long, value_name = "NAME")]
    pub ask: Vec<String>,
    /// Write a receipt of what is enforced to FILE (JSON), before the server starts.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Write the result of the run to file descriptor N (JSON).
    #[arg(long, value_name = "N")]
    pub result_fd: Option<i32>,
    /// Serve Prometheus metrics during the run, on a local socket: unix:PATH, or 127.0.0.1:PORT.
    #[arg(long, value_name = "TO")]
    pub metrics: Option<To>,
    /// Print messages as JSON, one object per line, on standard error.
    #[arg(long)]
    pub json: bool,
    /// Print nothing except why the server was not started.
    #[arg(short, long)]
    pub quiet: bool,
}
