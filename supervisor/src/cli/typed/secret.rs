//! `sandboxd secret`, as it is typed.

use super::Grants;
use clap::{Args, Subcommand};

/// List the secrets of a profile, and see that each can be read.
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
