//! `sandboxd pins`, as it is typed.

use clap::{Args, Subcommand};

/// Show, accept or forget the pinned tool definitions of MCP servers.
///
/// A tool's description is read by a model, and its schema defines the arguments. So a tool is pinned when a
/// server first lists it; if its definition changes, in any later run, the tool is hidden until you accept
/// the change here. A server is identified by its profile's name and what it executes; another command is
/// another server.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0; 1 if a changed tool is hidden, or there is no such server or tool; 125 if the pins cannot be read.\n\nExamples:\n  sandboxd pins                                list servers, changed tools\n  sandboxd pins accept notes-3fa21b07 search   accept the new definition"
)]
pub struct Pins {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Option<PinsCommand>,
    /// Show every tool, not only changed ones.
    #[arg(long)]
    pub all: bool,
    /// Print JSON, one object per server.
    #[arg(long)]
    pub json: bool,
}

/// What else to do with pins.
#[derive(Debug, Subcommand)]
pub enum PinsCommand {
    /// Accept a server's current tool definitions (shown first), from the next run on.
    Accept {
        /// The server, as listed.
        server: String,
        /// The tools. Default: all that changed.
        tools: Vec<String>,
    },
    /// Forget a server: its tools are pinned again when next seen.
    Forget {
        /// The server, as listed.
        server: String,
    },
}
