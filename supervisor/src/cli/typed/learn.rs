//! `sandboxd learn`, as it is typed.

use super::Grants;
use clap::Args;
use std::path::PathBuf;

/// Run a command, observe what it uses, and write a profile for it.
///
/// The command is sandboxed while it is observed: it may read and execute what is on this host, except keys,
/// tokens, histories and what only root may read; it may write only what -w names and its own temporary folders;
/// it may connect only to the hosts that --egress names. Tools that PROFILE lets it call are really called: anything
/// the command reads it can pass to these tools, and they to any host they reach. All of this is printed before it
/// starts.
///
/// The new profile extends PROFILE and grants what was used beyond it, merging many files of a folder into the
/// folder, with a comment naming the program. Dangerous accesses are not granted but listed with the reason.
/// Review the profile before you use it: the command chose what to access.
#[derive(Debug, Args)]
#[command(
    mut_arg("profile", |profile| profile.help("The profile: a file, or builtin:NAME. Default: builtin:base")),
    after_help = "Exit status: the command's own if a profile was written; 126 or 127 if the command could not be executed or was not found; otherwise 125.\n\nExamples:\n  sandboxd learn -o ../build.toml -w . -- make      what a build needs\n  sandboxd learn -p builtin:node-tool -o tool.toml -- node tool.js\n  sandboxd learn -o fetch.toml --egress api.example.com:443 -- ./fetch.sh\n  sandboxd run -p ../build.toml                     run with that profile"
)]
pub struct Learn {
    /// The profile to extend, and what is also allowed during observation.
    #[command(flatten)]
    pub grants: Grants,
    /// The profile to write; must not exist, and not be where the command or its callees may write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Give the command a terminal if any of standard input, output and error is one, not only if
    /// both input and output are.
    #[arg(short, long)]
    pub tty: bool,
    /// Do not print what is allowed during observation.
    #[arg(short, long)]
    pub quiet: bool,
}
