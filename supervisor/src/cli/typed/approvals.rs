//! What can be typed about calls that wait for approval.

use clap::Args;

/// List the calls that wait for approval.
///
/// An edge with approval = "ask" holds each call until a person approves it. No process in a sandbox can:
/// only the user who started the run, or root, from outside. Each call is shown with its caller, as the
/// kernel identified it, and all of its content. What the agent wrote is quoted as JSON, with every
/// character outside printable ASCII escaped.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0; 125 if a run could not be queried.\n\nExamples:\n  sandboxd approvals             list the calls that wait now\n  sandboxd approvals --watch     and new ones, until Ctrl-C\n  sandboxd approve               the same, and answer each one"
)]
pub struct Approvals {
    /// Keep watching: print each call once, as it arrives.
    #[arg(short, long)]
    pub watch: bool,
    /// Print each call as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

/// Approve a waiting call; without an ID, answer each as it arrives.
///
/// Approval covers exactly the call that was shown under this ID, once. If the call is made again, with
/// the same arguments or others, it has a new ID. By default a call without an answer is denied after
/// 3.5 minutes (approval_within).
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if it was approved; 1 if no call waits under this ID; 125 if a run could not be queried.\n\nExamples:\n  sandboxd approve                   answer each call, until Ctrl-C\n  sandboxd approve 4kq1-x2m8-0ab3    approve this one"
)]
pub struct Approve {
    /// The ID that sandboxd approvals shows.
    pub id: Option<String>,
}

/// Deny a waiting call.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if it was denied; 1 if no call waits under this ID; 125 if a run could not be queried.\n\nExample:\n  sandboxd deny 4kq1-x2m8-0ab3 --reason 'use the staging host'"
)]
pub struct Deny {
    /// The ID that sandboxd approvals shows.
    pub id: String,
    /// The reason to give the caller, on one line.
    #[arg(short, long, value_name = "WHY")]
    pub reason: Option<String>,
}
