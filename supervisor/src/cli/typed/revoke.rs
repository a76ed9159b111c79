//! `sandboxd revoke`, as it is typed.

use clap::Args;

/// Take back, while a run goes on, that something in it may be called.
///
/// Returns once nothing goes over that edge any more: calls that it is answering are cut off, those that wait for approval are over, what
/// ran for it alone is ended, and whoever calls from then on is told that it was taken back. Everything else of the run goes
/// on. It stays so until the run ends; to give it back, start the run anew. `expires` of [call.NAME] does the
/// same once its time is over.
///
/// It is for whoever started the run, and for root; nobody inside a sandbox can. The client of sandboxd mcp calls one
/// server and nothing else: that is taken back by sandboxd stop.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where it was taken back, or had been; 1 where there is no such run or edge, or several that may be meant; 125 where it was not confirmed.\n\nExamples:\n  sandboxd revoke agent-70001 mail          the agent of this run sends no more mail\n  sandboxd revoke agent clerk/notes         in the run of this profile, the clerk that it calls reads no more notes\n  sandboxd graph -p agent.toml              who may call whom, and by which names\n  sandboxd audit show --kind revoked        what was taken back, and by whom"
)]
pub struct Revoke {
    /// Which run: its id, or the name of its profile where that has one run, as `sandboxd ps` has them.
    #[arg(value_name = "RUN")]
    pub run: String,
    /// What may be called no more: NAME of [call.NAME], or CALLER/NAME where several profiles of the run call
    /// something by that name.
    #[arg(value_name = "EDGE")]
    pub edge: String,
    /// Print what came of it as JSON.
    #[arg(long)]
    pub json: bool,
}
