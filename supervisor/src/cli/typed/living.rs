//! `sandboxd ps` and `sandboxd stop`, as they are typed.

use clap::Args;

/// What is shown of the runs that go on.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0, also where none goes on; 125 where the audit log cannot be read.\n\nExamples:\n  sandboxd ps                    what runs, and since when\n  sandboxd ps --json | jq .      the same, for programs"
)]
pub struct Ps {
    /// Print it as JSON, an object for each run.
    #[arg(long)]
    pub json: bool,
}

/// Which runs end.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where all of them ended; 1 where one still goes on, there is no such run, or several have that name; 125 where the audit log cannot be read. A unit that systemd starts again is stopped by systemctl.\n\nExamples:\n  sandboxd stop agent-70001      this run\n  sandboxd stop agent            the run of this profile, where it is one\n  sandboxd stop --all agent      every run of this profile\n  sandboxd stop --now --all      kill all of yours"
)]
pub struct Stop {
    /// Which: the id of a run, or the name of its profile, as `sandboxd ps` has them in the lines that are not
    /// indented. Where several runs have that name, none is ended without --all: every profile without a name
    /// is called sandbox.
    #[arg(required_unless_present = "all", value_name = "RUN")]
    pub runs: Vec<String>,
    /// All runs of yours; with RUN, all of that name.
    #[arg(long)]
    pub all: bool,
    /// Kill at once.
    #[arg(long)]
    pub now: bool,
    /// Say which ended as JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}
