//! `sandboxd graph`, as it is typed.

use clap::{Args, Subcommand};

/// Draw who may call whom, say who can reach what, and what widened.
///
/// The graph is made of the profiles named with -p and those that they call, or of all the profiles in a
/// folder, and is checked as a whole: unknown profiles, names that nobody serves, edges that nobody can
/// use, grants that come to nothing, circles. Nothing is started.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0; with --from and --to 1 where there is no way; 125 where the profiles have problems, or more ways than are looked at lead on and none of the first led there.\n\nExamples:\n  sandboxd graph profiles/                          who may call whom, in words\n  sandboxd graph -p agent.toml --dot | dot -Tsvg    the same as a picture\n  sandboxd graph profiles/ --from agent --to net    can the agent reach the network, and through whom?\n  sandboxd graph profiles/ --from agent --to /srv   the same of a folder\n  sandboxd graph diff old/ new/                     what may be done now that might not be before"
)]
pub struct Graph {
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<GraphCommand>,
    /// A folder of profiles; without it and without -p, the current one.
    #[arg(value_name = "FOLDER")]
    pub folder: Option<String>,
    /// A profile, which may be given several times.
    #[arg(short, long, value_name = "PROFILE")]
    pub profile: Vec<String>,
    /// Say how this profile can reach what --to names.
    #[arg(long, value_name = "NAME", requires = "to")]
    pub from: Option<String>,
    /// Another profile, the network, or a path from /.
    #[arg(long, value_name = "NAME|net|PATH", requires = "from")]
    pub to: Option<String>,
    /// Print it for Graphviz.
    #[arg(long, conflicts_with_all = ["json", "from"])]
    pub dot: bool,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What else to do with call graphs.
#[derive(Debug, Subcommand)]
pub enum GraphCommand {
    /// Say what may be done with NEW that might not be with OLD, and the other way round.
    ///
    /// Compared are the profiles, the edges between them with what may be called, arguments, limits and
    /// approval, and what each may do with files and the network, itself and on its callers' behalf; `protect`,
    /// `isolation`, `[require]`, `[serve]` and `[budget]` of each. What cannot be shown to be less counts as more.
    /// Not compared are the command, system calls, limits, environment and secrets of each sandbox.
    ///
    /// Exit status: 0 where nothing widened, 1 where something did, 125 where the profiles have problems.
    Diff {
        /// A profile or a folder of profiles, as it was; counts as if it lay where NEW does.
        old: String,
        /// The same, as it is.
        new: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
}
