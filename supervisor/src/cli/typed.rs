//! What can be typed. From this one definition come the parser, `--help`, the man pages and the completions.

mod approvals;
mod audit;
mod call;
mod graph;
mod learn;
mod living;
mod mcp;
mod pins;
mod revoke;
mod secret;
mod why;

pub use approvals::{Approvals, Approve, Deny};
pub use audit::{Audit, AuditCommand, AuditExport, AuditFormat, AuditShow, AuditVerify};
pub use call::Call;
pub use graph::{Graph, GraphCommand};
pub use learn::Learn;
pub use living::{Ps, Stop};
pub use mcp::Mcp;
pub use pins::{Pins, PinsCommand};
pub use revoke::Revoke;
pub use secret::{Secret, SecretCommand, SecretRotate, SecretUses, SecretsOf};
pub use why::Why;

use super::service::Service;
use crate::metrics::To;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Run programs in sandboxes that the Linux kernel enforces: what is not granted cannot be reached.
#[derive(Debug, Parser)]
#[command(
    name = "sandboxd",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:\n  sandboxd run -- ls           run a command that can only read this folder\n  sandboxd run -w . -- make    the same, but it may write the folder, too\n  sandboxd profile list        list the builtin profiles\n  sandboxd doctor              check what this host can enforce"
)]
pub struct Sandboxd {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do. Of a command that was not typed nothing is made, which was a twentieth of a start.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Run a command in a sandbox.
    Run(Run),
    /// Run an MCP server in a sandbox, and let its client call only the tools you list.
    Mcp(Mcp),
    /// Inside a sandbox: connect to a callee that the profile lists, over standard input and output.
    Connect(Connect),
    /// Call one tool and print its answer.
    Call(Call),
    /// List your running sandboxes.
    ///
    /// Each line is a sandbox: first the run's own; indented below it, the sandboxes that it called and sandboxd's own services
    /// for it. Memory and processes (threads included) count a sandbox and everything that it called. You see the runs that you
    /// started. A run without an audit log is not listed. One in another pid namespace (a container that writes to the same log)
    /// is only named; list it from there.
    Ps(Ps),
    /// Stop running sandboxes.
    ///
    /// Sends SIGTERM to the command and kills it after two seconds. Everything that it started or called ends with it. Returns
    /// when nothing is left, or gives up after 20 seconds.
    Stop(Stop),
    /// List the calls that wait for approval.
    Approvals(Approvals),
    /// Approve a waiting call; without an ID, answer each as it arrives.
    Approve(Approve),
    /// Deny a waiting call.
    Deny(Deny),
    /// Revoke an edge of a running sandbox: what it leads to can no longer be called.
    Revoke(Revoke),
    /// Show, accept or forget the pinned tool definitions of MCP servers.
    Pins(Pins),
    /// Check whether a profile can run on this host, and report every problem.
    Check(Check),
    /// Print what a run would do: every mount, rule, limit and system call.
    Plan(Plan),
    /// Explain whether an access is allowed, which profile line decides, and what to change.
    Why(Why),
    /// Run a command, observe what it uses, and write a profile for it.
    Learn(Learn),
    /// List, show, create and describe profiles.
    Profile(Profile),
    /// Check a receipt against the layers that a run may lack.
    Receipt(Receipt),
    /// Show who may call whom, who can reach what, and what a change widens.
    Graph(Graph),
    /// List and check the secrets of a profile, show their uses, and rotate them.
    Secret(Secret),
    /// Check what this host can enforce, what each builtin profile gets, and what to change.
    Doctor(Doctor),
    /// Show, verify and export the audit log.
    Audit(Audit),
    /// Run as one of sandboxd's own services, in a sandbox of its own.
    #[command(hide = true, subcommand)]
    Service(Service),
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write all man pages to a folder.
    Man {
        /// The folder to write them to.
        folder: Option<PathBuf>,
    },
}

/// Which profile, and the options that override it.
#[derive(Debug, Default, Args)]
pub struct Grants {
    /// The profile: a file, or builtin:NAME. Default: builtin:untrusted, with this folder readable
    /// unless -r or -w names another.
    #[arg(short, long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Also apply another profile as an upper bound: only what both allow is allowed. Repeatable,
    /// outermost first. The command, user and environment are not taken from it.
    #[arg(long, value_name = "PROFILE")]
    pub under: Vec<String>,
    /// Let the command read PATH and everything below it.
    #[arg(short, long, value_name = "PATH")]
    pub read: Vec<String>,
    /// Let the command read and write PATH and everything below it.
    #[arg(short, long, value_name = "PATH")]
    pub write: Vec<String>,
    /// Let the command read and execute PATH and everything below it.
    #[arg(short = 'x', long, value_name = "PATH")]
    pub execute: Vec<String>,
    /// Let the command connect to TO: api.example.com:443 (TLS), '*.example.com:443',
    /// http://host.internal:8080, tcp://db.example.com:5432. Nothing else can be reached.
    #[arg(long, value_name = "TO")]
    pub egress: Vec<String>,
    /// Mount FROM of the host at TO inside; ACCESS is read, write or execute.
    #[arg(long, value_name = "FROM:TO[:ACCESS]")]
    pub bind: Vec<String>,
    /// Set an environment variable, or pass on the caller's. No others are passed on.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set any key of the profile; VALUE is TOML: --set limits.memory='"1G"'.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The command and its arguments, after `--`. Default: the profile's own.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Run a command in a sandbox.
///
/// Every layer is active and tested before the command starts; if this host cannot enforce one, the
/// command is not run. Standard input, output and error are the command's. It ends when sandboxd ends.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: the command's own; 128+n if signal n killed it; 124 if its wall time was exceeded; 125 if the sandbox could not be set up, or if sandboxd failed after the command ran (it says which); 126 if the command could not be executed; 127 if it was not found inside.\n\nExamples:\n  sandboxd run -- python3 -c 'print(1)'         only read this folder\n  sandboxd run -p builtin:coding-agent -- bash  may edit this folder\n  sandboxd run -p agent.toml --receipt r.json   record what was enforced\n  sandboxd run -p agent.toml --under site.toml  within what the site allows\n  sandboxd run --egress example.com:443 -- ./fetch.sh   reach one host only"
)]
pub struct Run {
    /// The profile, and the options that override it.
    #[command(flatten)]
    pub grants: Grants,
    /// Write a receipt of what is enforced to FILE (JSON), before the command starts.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Write the result of the run to file descriptor N (JSON).
    #[arg(long, value_name = "N")]
    pub result_fd: Option<i32>,
    /// Serve Prometheus metrics during the run, on a local socket: unix:PATH, or 127.0.0.1:PORT.
    #[arg(long, value_name = "TO")]
    pub metrics: Option<To>,
    /// Give the command a terminal if any of standard input, output and error is one, not only if
    /// both input and output are: cat list | sandboxd run -t -- less.
    #[arg(short, long)]
    pub tty: bool,
    /// Print messages as JSON, one object per line, on standard error.
    #[arg(long)]
    pub json: bool,
    /// Print nothing except why a command was not started.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Inside a sandbox: connect to a callee that the profile lists, over standard input and output.
///
/// MCP clients start this command; /run/sandboxd/mcp.json lists it for each [call.NAME] of the profile.
/// It connects to the broker, which identifies the caller by its sandbox; there are no credentials.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 when the conversation ends; 125 if there is no broker.\n\nExample, inside:\n  /run/sandboxd/sandboxd connect fs"
)]
pub struct Connect {
    /// Its name in the profile: [call.NAME].
    pub name: String,
}

/// Check whether a profile can run on this host, and report every problem.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 if it can run, 125 if not.")]
pub struct Check {
    /// The profile, and the options that override it.
    #[command(flatten)]
    pub grants: Grants,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Print what a run would do: every mount, rule, limit and system call.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0; 125 if the profile cannot run here.")]
pub struct Plan {
    /// The profile, and the options that override it.
    #[command(flatten)]
    pub grants: Grants,
    /// Print exactly what the shim reads and what the supervisor does, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Print the system call filter, one instruction per line.
    #[arg(long)]
    pub filter: bool,
}

/// List, show, create and describe profiles.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0; 125 if a profile cannot be read or written.")]
pub struct Profile {
    /// Which.
    #[command(subcommand)]
    pub command: ProfileCommand,
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the builtin profiles.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a profile merged with all it extends, and the source of each line.
    Show {
        /// A file, or builtin:NAME.
        profile: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a starter profile.
    Init {
        /// The file to write; must not exist.
        #[arg(default_value = "agent.toml")]
        file: PathBuf,
        /// The builtin profile it extends.
        #[arg(long, default_value = "coding-agent", value_name = "NAME")]
        extends: String,
    },
    /// Print the JSON Schema of profiles, for editors.
    Schema,
}

/// Check a receipt against the layers that a run may lack.
#[derive(Debug, Args)]
pub struct Receipt {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ReceiptCommand,
}

/// What to do with receipts.
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Check that every required layer was enforced.
    Check(ReceiptCheck),
}

/// Check that every required layer was enforced.
///
/// A profile may waive a layer that the host lacks, and `isolation = "landlock"` goes without several.
/// The receipt names each one. Here the owner of a pipeline decides which of them may be missing,
/// whatever profile was used: any other missing layer is an error.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if only layers that may be missing are missing, 1 if another one is, 125 if the file is not a receipt.\n\nExamples:\n  sandboxd run -w . --receipt ../r.json -- make\n  sandboxd receipt check ../r.json\n  sandboxd receipt check ../r.json --may-lack cgroup,memfd_noexec"
)]
pub struct ReceiptCheck {
    /// The file that `sandboxd run --receipt FILE` wrote.
    pub file: PathBuf,
    /// What may be missing: keys of [require] (cgroup, landlock.ioctl) or layers of the receipt
    /// (mount-view). An unknown name is an error.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub may_lack: Vec<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Check what this host can enforce, what each builtin profile gets, and what to change.
///
/// It also lists what killed supervisors left behind: cgroups, uids, control sockets, temporary files. The next run
/// removes the sockets, and the cgroups under its own parent; --clean removes all of it now.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if every builtin profile can run, 1 if not. With --clean: 0 if nothing is left, 1 if something could not be removed, 125 if it could not be searched for."
)]
pub struct Doctor {
    /// Only remove what killed supervisors left behind, and list it. Running sandboxes are not
    /// touched.
    #[arg(long)]
    pub clean: bool,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}
