//! `sandboxd revoke`, as it is typed.

use clap::Args;

/// Revoke an edge of a running sandbox: what it leads to can no longer be called.
///
/// Returns once the edge is closed: calls in progress are aborted, calls that wait for approval are dropped, instances
/// that ran only for this edge are stopped, and later callers are told that it was revoked. The rest of the run continues.
/// The edge stays revoked until the run ends; to restore it, start a new run. `expires` of [call.NAME] does the same
/// after a set time.
///
/// Only the user who started the run, and root, can revoke; no process in a sandbox can. The client of sandboxd mcp calls
/// a single server: to revoke that, use sandboxd stop.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if it is revoked, or already was; 1 if there is no such run or edge, or the name is ambiguous; 125 if it was not confirmed.\n\nExamples:\n  sandboxd revoke agent-70001 mail      this agent sends no more mail\n  sandboxd revoke agent clerk/notes     its clerk reads no more notes\n  sandboxd graph -p agent.toml          list the edges and their names\n  sandboxd audit show --kind revoked    what was revoked, and by whom"
)]
pub struct Revoke {
    /// The id of a run, or the name of its profile if that has only one run, as `sandboxd ps` shows them.
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The edge: NAME of [call.NAME], or CALLER/NAME if several profiles of the run have an edge of that
    /// name.
    #[arg(value_name = "EDGE")]
    pub edge: String,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}
