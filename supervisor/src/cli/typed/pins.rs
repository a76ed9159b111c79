//! `sandboxd pins`, as it is typed.

use clap::{Args, Subcommand};

/// Show, accept and forget what the tools of servers were when they were first seen.
///
/// A tool's description speaks to a model, and its schema says what arguments are; so a tool is pinned as it is
/// when a server first lists it, and one that is another later, in any run, is not there until it is accepted
/// here. A server is its profile's name and what it executes; another command is another server.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0; 1 where a tool is hidden because it changed, or there is no such server or tool; 125 where\nwhat is kept cannot be read.\n\nExamples:\n  sandboxd pins                                     every server, and each tool that changed: how\n  sandboxd pins accept notes-3fa21b07 search        take it as it is now, from the next run on"
)]
pub struct Pins {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<PinsCommand>,
    /// Show every tool, not only those that changed.
    #[arg(long)]
    pub all: bool,
    /// Print it as JSON, an object for each server.
    #[arg(long)]
    pub json: bool,
}

/// What else to do with pins.
#[derive(Debug, Subcommand)]
pub enum PinsCommand {
    /// Take tools as they are now, from the next run on; what they say now is listed before, and said again.
    Accept {
        /// The server, as it is listed.
        server: String,
        /// The tools; without one, all of it that changed.
        tools: Vec<String>,
    },
    /// Forget what is known of a server: its tools are pinned anew when they are seen next.
    Forget {
        /// The server, as it is listed.
        server: String,
    },
}
