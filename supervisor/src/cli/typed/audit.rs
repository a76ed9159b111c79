//! `sandboxd audit`, as it is typed.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Show, verify and export the audit log: what was run here, and what became of it.
///
/// Every run leaves its records: that it was started, with everything that was enforced, or why it was
/// refused; and how it ended. They lie in /var/lib/sandboxd/audit where root ran it, else in
/// $XDG_STATE_HOME/sandboxd/audit or ~/.local/state/sandboxd/audit, for seven days; root's for as long as
/// [audit] days of /etc/sandboxd/config.toml says. No sandbox can reach them. Each is chained to the one before, and checkpoints over them are signed with keys that are
/// forgotten when the run ends.
#[derive(Debug, Args)]
pub struct Audit {
    /// Which.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print the records, the oldest first.
    Show(AuditShow),
    /// Say whether all records are there and as they were written, and exactly what is not.
    Verify(AuditVerify),
    /// Print the records for another program, or the checkpoints to be kept elsewhere.
    Export(AuditExport),
}

/// Print the records, the oldest first.
///
/// What the log says of itself (headers, checkpoints) is shown where --kind names it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sandboxd audit show --since 1h                 what was run in the last hour\n  sandboxd audit show --kind refused             what was not started, and why\n  sandboxd audit show -n 20                      the newest twenty\n  sandboxd audit show --agent build --follow     one profile's runs, as they come\n\nExit status: 0; 1 where some of it is damaged, which is not shown; 125 where there is no log, or it could not be read."
)]
pub struct AuditShow {
    /// A folder of logs, or one file of a log; without it, the own one.
    #[arg(value_name = "FILE|DIR")]
    pub place: Option<PathBuf>,
    /// Go on with what is written from now on, until interrupted.
    #[arg(short, long)]
    pub follow: bool,
    /// Only what happened since: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only what this profile's sandboxes did, by its name or the id of one of them.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Only records of this kind: started, refused, ended; header, checkpoint and the like.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<String>,
    /// Only the last N of them; with --follow, those and what comes.
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
    /// Print each record as it was written, one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// A kind that there is: of another nothing would be found, and nobody told why.
fn kind(typed: &str) -> Result<String, String> {
    let kinds = sandboxd_audit::Kind::names();
    if kinds.contains(&typed) {
        return Ok(typed.to_owned());
    }
    Err(format!("there is no such kind; there are {}", kinds.join(", ")))
}

/// Say whether all records are there and as they were written, and exactly what is not.
///
/// Whoever is root can write a whole new log. Nobody can make one that agrees with a checkpoint that
/// was kept elsewhere: send `sandboxd audit export --format checkpoints` to another machine now and
/// then, and give it back here with --from. What was kept long enough and then removed cannot be compared,
/// which is said and is no damage where the index proves it.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where of what was written nothing is missing and nothing was changed, 1 where something is, 125 where it could not be looked at.\n\nExamples:\n  sandboxd audit verify                          everything of the own log\n  sandboxd audit verify /mnt/old/audit           a copy of a folder of logs\n  sandboxd audit verify --from kept.txt          and whether it agrees with what was kept"
)]
pub struct AuditVerify {
    /// A folder of logs, or one file of a log; without it, the own one.
    #[arg(value_name = "FILE|DIR")]
    pub place: Option<PathBuf>,
    /// A file of checkpoints that was kept elsewhere; each must be borne out.
    #[arg(long, value_name = "CHECKPOINT")]
    pub from: Option<PathBuf>,
    /// Print what was found as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Print the records for another program, or the checkpoints to be kept elsewhere.
#[derive(Debug, Args)]
#[command(
    after_help = "Formats:\n  jsonl        every record as it was written: what `sandboxd audit verify` reads\n  cef          one line of the Common Event Format for each record of a run, a call, a\n               connection out or a signature; not for what people decided\n  checkpoints  the last signed checkpoint of each segment, as notes of C2SP;\n               each export may be written behind the last\n\nExample:\n  sandboxd audit export --format checkpoints | ssh elsewhere 'cat >> kept.txt'\n\nExit status: 0; 1 where some of it is damaged, which is left out; 125 where there is no log, or it could not be read."
)]
pub struct AuditExport {
    /// A folder of logs, or one file of a log; without it, the own one.
    #[arg(value_name = "FILE|DIR")]
    pub place: Option<PathBuf>,
    /// How.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: AuditFormat,
    /// Only what happened since: 30m, 6h, 2d, 2026-11-25 or 2026-11-25T15:00 (UTC).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
}

/// How records are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// As they were written.
    Jsonl,
    /// Common Event Format.
    Cef,
    /// Only the signed checkpoints.
    Checkpoints,
}
