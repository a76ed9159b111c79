//! `sandboxd why`, as it is typed.

use super::Grants;
use clap::Args;
use sandboxd_profiles::why::Access;

/// Say whether the command may, which line says so, and what to write where it may not.
///
/// Nothing is started: the answer comes from the plan that `sandboxd run` would execute with the same
/// profile and options. Each layer is asked by itself, and the line of the profile is named that makes it
/// answer so. Where the command may not, the lines to add are tried before they are told; where no line
/// gives it, that is said, and why.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("question").required(true).args(["path", "syscall", "host", "call", "last"]),
    after_help = "Exit status: 0 where the command may, 1 where it may not, 125 where the profile cannot be run here.\n\nExamples:\n  sandboxd why -p agent.toml --path /srv/data --access write\n  sandboxd why -p agent.toml --path .git/hooks/pre-commit --access write\n  sandboxd why -p builtin:untrusted --path /usr/bin/python3 --access execute\n  sandboxd why -p agent.toml --syscall io_uring_setup\n  sandboxd why -p agent.toml --host api.example.com:443\n  sandboxd why -p agent.toml --call fs write_file\n  sandboxd why --last\n  sandboxd why -p agent.toml --under site.toml --path /srv --json"
)]
pub struct Why {
    /// The profile and what is laid over it.
    #[command(flatten)]
    pub grants: Grants,
    /// May it do something with this path? As the command would write it: a relative one begins in its
    /// working directory, and links lead where they lead inside.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// What it wants to do with it: read, write or execute, or one right of landlock(7).
    #[arg(long, value_name = "ACCESS", default_value = "read", requires = "path",
        value_parser = Access::ALL.map(Access::name))]
    pub access: String,
    /// May it make this system call?
    #[arg(long, value_name = "NAME")]
    pub syscall: Option<String>,
    /// May it connect to this port of this host?
    #[arg(long, value_name = "HOST:PORT")]
    pub host: Option<String>,
    /// May it call what its profile calls EDGE, and this tool there?
    #[arg(long, value_names = ["EDGE", "TOOL"], num_args = 1..=2)]
    pub call: Option<Vec<String>>,
    /// What was your last run refused that failed or was refused anything, and what would allow it? Known are
    /// system calls, hosts that were not let out, and calls of tools; of files it says how to ask.
    #[arg(long)]
    pub last: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}
