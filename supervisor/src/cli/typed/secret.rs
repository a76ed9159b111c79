//! `sandboxd secret`, as it is typed.

use super::Grants;
use clap::{Args, Subcommand};

/// List the secrets of a profile, see that each can be read and who uses it, and renew those of runs that go on.
///
/// A secret is named in [secrets.NAME] of a profile: where sandboxd reads it, and who uses it. What it is,
/// is never printed.
#[derive(Debug, Args)]
pub struct Secret {
    /// Which.
    #[command(subcommand)]
    pub command: SecretCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Print where each is read, and who uses it. Nothing is read.
    #[command(after_help = "Example:\n  sandboxd secret list -p agent.toml")]
    List(SecretsOf),
    /// Read each as a run would, and say which cannot be, and why.
    #[command(
        after_help = "Exit status: 0 where all can be read; 1 where one cannot; 125 where the profile has problems.\n\nExample:\n  sandboxd secret check -p agent.toml"
    )]
    Check(SecretsOf),
    /// Print who may use each, and what the audit log says of who did: how often, and when last.
    ///
    /// A secret that is put into requests is counted by profile, entry and host; one that stands in arguments, by
    /// profile, [call.NAME] and tool. What was written down too often at once was counted, and not by secret
    /// (`sandboxd audit show --kind left_out`). What a command does with a file that it has in
    /// $CREDENTIALS_DIRECTORY nobody sees.
    #[command(
        after_help = "Examples:\n  sandboxd secret uses -p agent.toml\n  sandboxd secret uses -p agent.toml --secret model --since 1d"
    )]
    Uses(SecretUses),
    /// Have runs that are going on read theirs again: the next request or call has what each is now.
    ///
    /// Every secret that is put into requests ([secrets.NAME].inject), stands in arguments (placeholder) or logs
    /// in (ssh) is read again where it was read at the start. Where one of a run's cannot be, none is renewed. Where the
    /// broker then does not take its own, that is said, with why and what to do, and requests have the new ones already.
    /// The last eight that each was before stay covered in answers, and all of them in records. A variable (env:) stays what it was, and a file that a command has in $CREDENTIALS_DIRECTORY stays
    /// its own until it is started anew.
    #[command(
        after_help = "Exit status: 0 where all runs renewed theirs; 1 where one did not, or there is none.\n\nExamples:\n  sandboxd secret rotate                    every run of yours\n  sandboxd secret rotate --run agent-70001  this one"
    )]
    Rotate(SecretRotate),
}

/// Whose uses.
#[derive(Debug, Args)]
pub struct SecretUses {
    /// The profile and what is laid over it.
    #[command(flatten)]
    pub of: SecretsOf,
    /// Only this secret, by its name in the profile.
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// Only what happened since: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
}

/// Whose secrets are read again.
#[derive(Debug, Args)]
pub struct SecretRotate {
    /// The id of a run, as `sandboxd ps` has it; without it, all of the user's.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Print what came of it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Whose secrets.
#[derive(Debug, Args)]
pub struct SecretsOf {
    /// The profile and what is laid over it.
    #[command(flatten)]
    pub grants: Grants,
    /// Print them as JSON.
    #[arg(long)]
    pub json: bool,
}
