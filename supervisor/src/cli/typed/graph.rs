//! `sandboxd graph`, as it is typed.

use clap::{Args, Subcommand};

/// Show who may call whom, who can reach what, and what a change widens.
///
/// The graph consists of the profiles named with -p and those that they call, or of all profiles in a
/// folder. It is checked as a whole: unknown profiles, names that no callee serves, edges that cannot be
/// used, grants without effect, cycles. Nothing is started.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0; with --from and --to, 1 if there is no path; 125 if the profiles have problems, or if the search limit was reached before a path was found.\n\nExamples:\n  sandboxd graph profiles/                         who may call whom\n  sandboxd graph -p agent.toml --dot | dot -Tsvg   the same as a picture\n  sandboxd graph profiles/ --from agent --to net   can it reach the net?\n  sandboxd graph profiles/ --from agent --to /srv  can it reach the folder?\n  sandboxd graph diff old/ new/                    what a change widens"
)]
pub struct Graph {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Option<GraphCommand>,
    /// A folder of profiles. Default, without -p: the current one.
    #[arg(value_name = "FOLDER")]
    pub folder: Option<String>,
    /// A profile; repeatable.
    #[arg(short, long, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// Show how this profile can reach what --to names.
    #[arg(long, value_name = "NAME", requires = "to")]
    pub from: Option<String>,
    /// Another profile, the network, or an absolute path.
    #[arg(long, value_name = "NAME|net|PATH", requires = "from")]
    pub to: Option<String>,
    /// Print it in Graphviz format.
    #[arg(long, conflicts_with_all = ["json", "from"])]
    pub dot: bool,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What else to do with call graphs.
#[derive(Debug, Subcommand)]
pub enum GraphCommand {
    /// Show what NEW allows that OLD did not, and the reverse.
    ///
    /// Compares the profiles; the edges between them, with what may be called, arguments, limits and approval;
    /// what each may do with files and the network, for itself and on behalf of its callers; and `protect`,
    /// `isolation`, `[require]`, `[serve]` and `[budget]` of each. What cannot be proven narrower counts as wider.
    /// Does not compare the command, system calls, limits, environment and secrets of each sandbox.
    ///
    /// Exit status: 0 if nothing widened, 1 if something did, 125 if the profiles have problems.
    Diff {
        /// The old profile or folder of profiles; treated as if it were at the place of NEW.
        old: String,
        /// The new profile or folder.
        new: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
}
