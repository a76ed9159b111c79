//! `sandboxd learn`, as it is typed.

use super::Grants;
use clap::Args;
use std::path::PathBuf;

/// Run a command, see what it uses, and write a profile under which it runs.
///
/// While it is learnt from, the command is in a sandbox too: it may read and execute what is on this host, but
/// for keys, tokens, histories and what only root may read; it writes nothing but what -w names and its own
/// temporary folders; by itself it reaches nobody but whom --egress names. What PROFILE calls is called meanwhile, so
/// what the command reads it can tell these tools, and they whomever they reach. What that is, is said before it
/// starts.
///
/// The profile extends PROFILE and has what was used beyond it, folder by folder where many files of one were,
/// with a comment of who used it. What would be dangerous to grant is not granted, and listed with the reason.
/// Read it before you use it: the command chose what to use.
#[derive(Debug, Args)]
#[command(
    mut_arg("profile", |profile| profile.help("The profile: a file, or builtin:NAME. Without one: builtin:base")),
    after_help = "Exit status: the command's own, where a profile was written; 126 or 127 where the command was not executed or found; else 125 where none was.\n\nExamples:\n  sandboxd learn -o ../build.toml -w . -- make             what a build needs\n  sandboxd learn -p builtin:node-tool -o tool.toml -- node tool.js\n  sandboxd learn -o fetch.toml --egress api.example.com:443 -- ./fetch.sh\n  sandboxd run -p ../build.toml                           the same command, with that and nothing else"
)]
pub struct Learn {
    /// The profile that is extended, and what may be done beyond it meanwhile.
    #[command(flatten)]
    pub grants: Grants,
    /// Where the profile is written; must not exist, and not lie where the command or what it calls may write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Say nothing of what is allowed meanwhile.
    #[arg(short, long)]
    pub quiet: bool,
}
