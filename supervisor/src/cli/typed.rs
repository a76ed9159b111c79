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

/// Start programs so that the kernel, not their good will, decides what they can touch.
#[derive(Debug, Parser)]
#[command(
    name = "sandboxd",
    version,
    disable_help_subcommand = true,
    after_help = "Begin with:\n  sandboxd run -- ls                     see a command confined to reading this folder\n  sandboxd run -w . -- make              the same, but it may write this folder\n  sandboxd profile list                  the profiles that ship\n  sandboxd doctor                        what this host can enforce"
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
    /// Run a command inside a sandbox.
    Run(Run),
    /// Run an MCP server inside a sandbox, and let its client call what is named.
    Mcp(Mcp),
    /// Inside a sandbox: talk to what its profile lets be called, over standard input and output.
    Connect(Connect),
    /// Call one tool, and print its answer.
    Call(Call),
    /// Show the runs that go on.
    ///
    /// Each line is a sandbox: the run's own, below it those that it called, and those in which sandboxd serves it. Memory, and
    /// processes with their threads, are those of a sandbox and of all that it called. A run is seen by whoever started it; one without
    /// an audit log is not, and one of another pid namespace (a container that writes the same log) is named, and shown there.
    Ps(Ps),
    /// End runs that go on.
    ///
    /// The command is asked to end (SIGTERM), and killed where it has not within two seconds; with it ends everything that it
    /// started and called. Returns when nothing of it is left, or gives up after 20 seconds.
    Stop(Stop),
    /// Show the calls that wait for somebody to approve them.
    Approvals(Approvals),
    /// Approve a call that waits; without an ID, be asked about each as it comes.
    Approve(Approve),
    /// Deny a call that waits.
    Deny(Deny),
    /// Take back, while a run goes on, that something in it may be called.
    Revoke(Revoke),
    /// Show, accept and forget what the tools of servers were when they were first seen.
    Pins(Pins),
    /// Say whether a profile can be run here, and what is wrong with it where not.
    Check(Check),
    /// Print what a run would do: every mount, rule, limit and system call.
    Plan(Plan),
    /// Say whether the command may, which line says so, and what to write where it may not.
    Why(Why),
    /// Run a command, see what it uses, and write a profile under which it runs.
    Learn(Learn),
    /// List, show, begin and describe profiles.
    Profile(Profile),
    /// Compare what a run was enforced with to what it may lack.
    Receipt(Receipt),
    /// Draw who may call whom, say who can reach what, and what widened.
    Graph(Graph),
    /// List the secrets of a profile, see that each can be read and who uses it, and renew them in
    /// runs that go on.
    Secret(Secret),
    /// Say what this host can enforce, what each builtin profile gets, and what to change.
    Doctor(Doctor),
    /// Show, verify and export the audit log: what was run here, and what became of it.
    Audit(Audit),
    /// Be a service of sandboxd's own, inside a sandbox that it made for it.
    #[command(hide = true, subcommand)]
    Service(Service),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write all of them into a folder.
    Man {
        /// Where to write them.
        folder: Option<PathBuf>,
    },
}

/// Which profile, and what is laid over it.
#[derive(Debug, Default, Args)]
pub struct Grants {
    /// The profile: a file, or builtin:NAME. Without one: builtin:untrusted, and this folder readable
    /// where neither -r nor -w names another.
    #[arg(short, long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Run it under another profile, which nothing here goes beyond: what is allowed is what both allow.
    /// May be given several times, the outermost first. The command, the user and the environment are
    /// not that profile's.
    #[arg(long, value_name = "PROFILE")]
    pub under: Vec<String>,
    /// Let the command read PATH and what lies below it.
    #[arg(short, long, value_name = "PATH")]
    pub read: Vec<String>,
    /// Let the command read and write PATH and what lies below it.
    #[arg(short, long, value_name = "PATH")]
    pub write: Vec<String>,
    /// Let the command read and execute PATH and what lies below it.
    #[arg(short = 'x', long, value_name = "PATH")]
    pub execute: Vec<String>,
    /// Let the command connect to TO: api.example.com:443 (TLS), '*.example.com:443',
    /// http://host.internal:8080, tcp://db.example.com:5432. Nothing else is reached then.
    #[arg(long, value_name = "TO")]
    pub egress: Vec<String>,
    /// Show FROM of the host as TO inside; ACCESS is read, write or execute.
    #[arg(long, value_name = "FROM:TO[:ACCESS]")]
    pub bind: Vec<String>,
    /// Set a variable, or pass one on from here. Nothing else is passed on.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set any key of the profile, the value as TOML: --set limits.memory='"1G"'.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Give the command a terminal wherever one of standard input, output and error is one, not only
    /// where input and output are: cat list | sandboxd run -t -- less.
    #[arg(short = 't', long)]
    pub tty: bool,
    /// The command and its arguments, after `--`; without it, the profile's own.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Run a command inside a sandbox.
///
/// Every layer is on before the command starts, and has been tried; what this host cannot enforce
/// stops the run. Standard input, output and error are the command's. It ends when sandboxd ends.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: the command's own; 128+n where signal n ended it; 124 where its wall time was used\nup; 125 where the sandbox could not be set up, or where something else failed once the command had run,\nwhich is said; 126 where the command could not be executed; 127 where it was not found inside.\n\nExamples:\n  sandboxd run -- python3 -c 'print(1)'            nothing but this folder, and that only to read\n  sandboxd run -p builtin:coding-agent -- bash     a shell that may edit this folder\n  sandboxd run -p agent.toml --receipt r.json      the profile's own command, and what was enforced\n  sandboxd run -p agent.toml --under site.toml     the same, within what the site allows\n  sandboxd run --egress api.example.com:443 -- curl https://api.example.com/    one host, and no other"
)]
pub struct Run {
    /// The profile and what is laid over it.
    #[command(flatten)]
    pub grants: Grants,
    /// Write what was enforced to FILE, before the command starts (JSON).
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Write what became of the command to descriptor N (JSON).
    #[arg(long, value_name = "N")]
    pub result_fd: Option<i32>,
    /// Answer whoever reads metrics (Prometheus) while this runs, at a socket of this machine:
    /// unix:PATH, or 127.0.0.1:PORT.
    #[arg(long, value_name = "TO")]
    pub metrics: Option<To>,
    /// Say everything as JSON, one object a line, on standard error.
    #[arg(long)]
    pub json: bool,
    /// Say nothing but why a command was not started.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Inside a sandbox: talk to what its profile lets be called, over standard input and output.
///
/// It is what an MCP client starts, and /run/sandboxd/mcp.json lists it so for each [call.NAME] of the
/// profile. It only leads to the broker, which knows who calls by the sandbox that the call comes from;
/// there is nothing to log in with.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 at the end of the conversation; 125 where there is no broker.\n\nExample, inside:\n  /run/sandboxd/sandboxd connect fs"
)]
pub struct Connect {
    /// What the profile calls it: [call.NAME].
    pub name: String,
}

/// Say whether a profile can be run here, and what is wrong with it where not.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 where it can, 125 where not.")]
pub struct Check {
    /// The profile and what is laid over it.
    #[command(flatten)]
    pub grants: Grants,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Print what a run would do: every mount, rule, limit and system call.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0; 125 where the profile cannot be run here.")]
pub struct Plan {
    /// The profile and what is laid over it.
    #[command(flatten)]
    pub grants: Grants,
    /// Print exactly what the shim reads, and what the supervisor does around it.
    #[arg(long)]
    pub json: bool,
    /// Print the system call filter, an instruction a line.
    #[arg(long)]
    pub filter: bool,
}

/// List, show, begin and describe profiles.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0; 125 where a profile cannot be read, or written.")]
pub struct Profile {
    /// Which.
    #[command(subcommand)]
    pub command: ProfileCommand,
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List the profiles that ship.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a profile with all it extends, and where each line comes from.
    Show {
        /// A file, or builtin:NAME.
        profile: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a profile to begin with.
    Init {
        /// Where; must not exist.
        #[arg(default_value = "agent.toml")]
        file: PathBuf,
        /// The builtin profile it extends.
        #[arg(long, default_value = "coding-agent", value_name = "NAME")]
        extends: String,
    },
    /// Print the JSON Schema of profiles, for editors.
    Schema,
}

/// Compare what a run was enforced with to what it may lack.
#[derive(Debug, Args)]
pub struct Receipt {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ReceiptCommand,
}

/// What to do with receipts.
#[derive(Debug, Subcommand)]
pub enum ReceiptCommand {
    /// Say whether everything was enforced that must be.
    Check(ReceiptCheck),
}

/// Say whether everything was enforced that must be.
///
/// A profile may allow a host to lack a layer, and `isolation = "landlock"` does without several. The
/// receipt names each. This is where whoever answers for a pipeline says which of them it may lack,
/// whatever profile was used: anything else that is missing is an error.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where nothing is missing but what may be, 1 where something else is, 125 where the file is no receipt.\n\nExamples:\n  sandboxd run -w . --receipt ../r.json -- make && sandboxd receipt check ../r.json\n  sandboxd receipt check ../r.json --may-lack cgroup,memfd_noexec"
)]
pub struct ReceiptCheck {
    /// The file that `sandboxd run --receipt FILE` wrote.
    pub file: PathBuf,
    /// What may be missing: keys of [require] (cgroup, landlock.ioctl) and layers of the receipt
    /// (mount-view). A name that nothing has is an error.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub may_lack: Vec<String>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Say what this host can enforce, what each builtin profile gets, and what to change.
///
/// It also names what killed supervisors left behind: cgroups, uids, control sockets, temporary files. The next start
/// removes the sockets, and the cgroups where it makes its own; --clean removes all of it now, and nothing else.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where every builtin profile can be run, 1 where not. With --clean: 0 where nothing is left, 1 where something stays, 125 where it could not be looked for."
)]
pub struct Doctor {
    /// Remove what killed supervisors left behind, say what that was, and do nothing else. Living
    /// sandboxes are not touched.
    #[arg(long)]
    pub clean: bool,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}
