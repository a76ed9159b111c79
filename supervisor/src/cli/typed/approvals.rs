//! What can be typed about calls that wait for approval.

use clap::Args;

/// Show the calls that wait for somebody to approve them.
///
/// An edge with approval = "ask" holds each call until somebody says yes. Nobody inside a sandbox can: it
/// is said here, outside, by the user who started the run, or by root. Each call is shown with who
/// makes it, as the kernel proved it, and all that it would do; what the agent wrote stands in quotes, as
/// JSON, everything but plain letters by number.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0; 125 where a run could not be asked.\n\nExamples:\n  sandboxd approvals                   what waits now\n  sandboxd approvals --watch           and what comes, until Ctrl-C\n  sandboxd approve                     the same, and answer each"
)]
pub struct Approvals {
    /// Go on: print each call once, as it comes.
    #[arg(short, long)]
    pub watch: bool,
    /// Print each call as a JSON object on a line of its own.
    #[arg(long)]
    pub json: bool,
}

/// Approve a call that waits; without an ID, be asked about each as it comes.
///
/// What is approved is the very call that was shown under this ID, now and once. A call that was made
/// again, with other arguments or the same, is another one and has another ID. Without an answer it is
/// denied after 3 minutes and a half.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where it was approved; 1 where no call waits under this ID; 125 where a run could not be asked.\n\nExamples:\n  sandboxd approve                     on a terminal: y or n to each call, until Ctrl-C\n  sandboxd approve 4kq1-x2m8-0ab3      this one, as sandboxd approvals shows it"
)]
pub struct Approve {
    /// As sandboxd approvals shows it.
    pub id: Option<String>,
}

/// Deny a call that waits.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where it was denied; 1 where no call waits under this ID; 125 where a run could not be asked.\n\nExample:\n  sandboxd deny 4kq1-x2m8-0ab3 --reason 'use the staging host'"
)]
pub struct Deny {
    /// As sandboxd approvals shows it.
    pub id: String,
    /// What whoever called is told, on one line.
    #[arg(short, long, value_name = "WHY")]
    pub reason: Option<String>,
}
