//! `sandboxd ps` and `sandboxd stop`, as they are typed.

use clap::Args;

/// How running sandboxes are listed.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0, even if there is none; 125 if the audit log cannot be read.\n\nExamples:\n  sandboxd ps                    list them\n  sandboxd ps --json | jq .      the same, for programs"
)]
pub struct Ps {
    /// Print JSON, one object per run.
    #[arg(long)]
    pub json: bool,
}

/// Which runs are stopped.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if all of them ended; 1 if one is still running, there is no such run, or several match the name; 125 if the audit log cannot be read. Use systemctl to stop a unit that systemd would restart.\n\nExamples:\n  sandboxd stop agent-70001      this run\n  sandboxd stop agent            the only run of this profile\n  sandboxd stop --all agent      every run of this profile\n  sandboxd stop --now --all      kill all of yours"
)]
pub struct Stop {
    /// The id of a run, or the name of its profile, as the lines of `sandboxd ps` that are not indented show
    /// them. If several runs have that name, none is stopped without --all: every profile without a name is
    /// called sandbox.
    #[arg(required_unless_present = "all", value_name = "RUN")]
    pub runs: Vec<String>,
    /// All of your runs; with RUN, all of that name.
    #[arg(long)]
    pub all: bool,
    /// Kill immediately.
    #[arg(long)]
    pub now: bool,
    /// Print what ended as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}
