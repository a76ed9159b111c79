//! `sandboxd audit`, as it is typed.

use crate::cli::audit::since;
use clap::{Args, Subcommand, ValueEnum};
use sandboxd_audit::time::Stamp;
use std::path::PathBuf;

/// Show, verify and export the audit log.
///
/// Every run leaves records: that it started and what was enforced, or why it was refused; and how it
/// ended. Root's are in /var/lib/sandboxd/audit; a user's are in $XDG_STATE_HOME/sandboxd/audit or
/// ~/.local/state/sandboxd/audit. They are kept for seven days; for root's, [audit] days of
/// /etc/sandboxd/config.toml sets another time. No sandbox can reach them. Each record is chained to the
/// one before, and checkpoints over them are signed with keys that are discarded when the run ends.
#[derive(Debug, Args)]
pub struct Audit {
    /// The subcommand.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print the records, oldest first.
    Show(AuditShow),
    /// Verify that no record is missing or changed, and report exactly which is.
    Verify(AuditVerify),
    /// Export the records for other programs, or the checkpoints to keep elsewhere.
    Export(AuditExport),
}

/// Print the records, oldest first.
///
/// The log's own records (headers, checkpoints) are shown only if --kind names them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sandboxd audit show --since 1h              the last hour\n  sandboxd audit show --kind refused          what was not started, and why\n  sandboxd audit show -n 20                   the newest twenty\n  sandboxd audit show --agent build --follow  follow runs of one profile\n\nExit status: 0; 1 if part of the log is damaged (that part is not shown); 125 if there is no log, or it could not be read."
)]
pub struct AuditShow {
    /// A folder of logs, or one log file. Default: your own log.
    #[arg(value_name = "FILE|DIR")]
    pub place: Option<PathBuf>,
    /// Follow: print new records as they are written, until interrupted.
    #[arg(short, long)]
    pub follow: bool,
    /// Only records since WHEN: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Stamp>,
    /// Only records of this profile (by name) or this sandbox (by id).
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Only records of this kind, such as started, refused, ended, header or checkpoint.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<String>,
    /// Only the last N records; with --follow, these and new ones.
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
    /// Print each record as it was written, one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// An existing kind: another would find nothing, without saying why.
fn kind(typed: &str) -> Result<String, String> {
    let kinds = sandboxd_audit::Kind::names();
    if kinds.contains(&typed) {
        return Ok(typed.to_owned());
    }
    Err(format!("no such kind; the kinds are {}", kinds.join(", ")))
}

/// Verify that no record is missing or changed, and report exactly which is.
///
/// Root can forge a whole new log, but not one that agrees with a checkpoint kept elsewhere: send
/// `sandboxd audit export --format checkpoints` to another machine regularly, and pass it here with
/// --from. Records that were removed at the end of their retention time cannot be compared; this is
/// reported, and is not damage if the index proves it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if nothing is missing or changed, 1 if something is, 125 if the log could not be read.\n\nExamples:\n  sandboxd audit verify                   your own log\n  sandboxd audit verify /mnt/old/audit    a copy of a folder of logs\n  sandboxd audit verify --from kept.txt   compare it with kept checkpoints"
)]
pub struct AuditVerify {
    /// A folder of logs, or one log file. Default: your own log.
    #[arg(value_name = "FILE|DIR")]
    pub place: Option<PathBuf>,
    /// A file of checkpoints that was kept elsewhere; the log must match each.
    #[arg(long, value_name = "CHECKPOINT")]
    pub from: Option<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Export the records for other programs, or the checkpoints to keep elsewhere.
#[derive(Debug, Args)]
#[command(
    after_help = "Formats:\n  jsonl        each record as written, the form that audit verify reads\n  cef          Common Event Format: a line for each run, call, outgoing\n               connection and signature, but not for human decisions\n  checkpoints  the last signed checkpoint of each segment (C2SP notes);\n               exports can be appended to one file\n\nExample:\n  sandboxd audit export --format checkpoints | ssh host 'cat >> kept.txt'\n\nExit status: 0; 1 if part of the log is damaged (that part is left out); 125 if there is no log, or it could not be read."
)]
pub struct AuditExport {
    /// A folder of logs, or one log file. Default: your own log.
    #[arg(value_name = "FILE|DIR")]
    pub place: Option<PathBuf>,
    /// The format.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: AuditFormat,
    /// Only records since WHEN: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC).
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<Stamp>,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// The records as they were written.
    Jsonl,
    /// Common Event Format.
    Cef,
    /// Only the signed checkpoints.
    Checkpoints,
}
