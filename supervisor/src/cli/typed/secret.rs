//! `sandboxd secret`, as it is typed.

use super::Grants;
use crate::cli::audit::since;
use clap::{Args, Subcommand};
use sandboxd_audit::time::Stamp;

/// List and check the secrets of a profile, show their uses, and rotate them.
///
/// [secrets.NAME] of a profile says where sandboxd reads a secret, and what may use it. Its value is never
/// printed.
#[derive(Debug, Args)]
pub struct Secret {
    /// The subcommand.
    #[command(subcommand)]
    pub command: SecretCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// List where each secret is read from and what uses it. Reads none of them.
    #[command(after_help = "Example:\n  sandboxd secret list -p agent.toml")]
    List(SecretsOf),
    /// Read each secret as a run would, and report which cannot be read, and why.
    #[command(
        after_help = "Exit status: 0 if all can be read; 1 if one cannot; 125 if the profile has problems.\n\nExample:\n  sandboxd secret check -p agent.toml"
    )]
    Check(SecretsOf),
    /// Show what may use each secret, and from the audit log what did: how often, and when last.
    ///
    /// A secret that is injected into requests is counted by profile, entry and host; one in tool arguments, by
    /// profile, [call.NAME] and tool. Bursts beyond the log's rate limit are counted, but not by secret
    /// (`sandboxd audit show --kind left_out`). Uses of a file in $CREDENTIALS_DIRECTORY cannot be observed.
    #[command(
        after_help = "Examples:\n  sandboxd secret uses -p agent.toml\n  sandboxd secret uses -p agent.toml --secret model --since 1d"
    )]
    Uses(SecretUses),
    /// Make running sandboxes re-read their secrets.
    ///
    /// Every secret that is injected into requests ([secrets.NAME].inject), stands in tool arguments (placeholder) or
    /// logs in (ssh) is read again from its source; the next request or call uses the new value. If one secret of a run
    /// cannot be read, none of that run is rotated. If the broker then does not accept its new secrets, this is reported
    /// with the reason and the remedy; requests use the new ones already. The last eight values of each secret stay
    /// masked in answers, and all of them in records. A variable (env:) keeps its value, and a file in
    /// $CREDENTIALS_DIRECTORY stays as it is until the command is started again.
    #[command(
        after_help = "Exit status: 0 if all runs rotated theirs; 1 if one did not, or there is none.\n\nExamples:\n  sandboxd secret rotate                    all of your runs\n  sandboxd secret rotate --run agent-70001  this one"
    )]
    Rotate(SecretRotate),
}

/// Whose uses.
#[derive(Debug, Args)]
pub struct SecretUses {
    /// The profile, and the options that override it.
    #[command(flatten)]
    pub of: SecretsOf,
    /// Only this secret, by its name in the profile.
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// Only uses since WHEN: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Stamp>,
}

/// Whose secrets are read again.
#[derive(Debug, Args)]
pub struct SecretRotate {
    /// The id of a run, as `sandboxd ps` shows it. Default: all of your runs.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Whose secrets.
#[derive(Debug, Args)]
pub struct SecretsOf {
    /// The profile, and the options that override it.
    #[command(flatten)]
    pub grants: Grants,
    /// Print them as JSON.
    #[arg(long)]
    pub json: bool,
}
