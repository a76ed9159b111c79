//! `sandboxd why`, as it is typed.

use super::Grants;
use clap::Args;
use sandboxd_profiles::why::Access;

/// Explain whether an access is allowed, which profile line decides, and what to change.
///
/// Nothing is started: the answer comes from the plan that `sandboxd run` would execute with the same
/// profile and options. Each layer is evaluated separately, with the profile line behind its answer. If the
/// access is refused, sandboxd suggests lines to add, and has tested each; if no line can allow it, it says
/// why.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("question").required(true).args(["path", "syscall", "host", "call", "last"]),
    after_help = "Exit status: 0 if the access is allowed, 1 if not, 125 if the profile cannot run here.\n\nExamples:\n  sandboxd why -p agent.toml --path /srv/data --access write\n  sandboxd why -p agent.toml --path .git/hooks/pre-commit --access write\n  sandboxd why -p builtin:untrusted --path /usr/bin/awk --access execute\n  sandboxd why -p agent.toml --syscall io_uring_setup\n  sandboxd why -p agent.toml --host api.example.com:443\n  sandboxd why -p agent.toml --call fs write_file\n  sandboxd why --last\n  sandboxd why -p agent.toml --under site.toml --path /srv --json"
)]
pub struct Why {
    /// The profile, and the options that override it.
    #[command(flatten)]
    pub grants: Grants,
    /// Can it access this path? As the command would write it: a relative path starts in its working
    /// directory, and links are resolved inside.
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// The kind of access: read, write or execute, or one right of landlock(7).
    #[arg(long, value_name = "ACCESS", default_value = "read", requires = "path",
        value_parser = Access::ALL.map(Access::name))]
    pub access: String,
    /// Can it make this system call?
    #[arg(long, value_name = "NAME")]
    pub syscall: Option<String>,
    /// Can it connect to this port of this host?
    #[arg(long, value_name = "HOST:PORT")]
    pub host: Option<String>,
    /// Can it call [call.EDGE] of its profile, and this tool there?
    #[arg(long, value_names = ["EDGE", "TOOL"], num_args = 1..=2)]
    pub call: Option<Vec<String>>,
    /// What was denied to your last run that failed or was denied anything, and what would allow it? Covers
    /// system calls, hosts and tool calls; for files it says how to ask.
    #[arg(long)]
    pub last: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}
