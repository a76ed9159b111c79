//! What a profile comes to on a host: the plan for the shim, and what the supervisor does around it.

use crate::host::{Controller, Disk};
use sandboxd_egress_plan::{EgressPlan, Fingerprint};
use sandboxd_plan::{HostPath, Plan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A profile, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// What the shim executes.
    pub plan: Plan,
    /// What the supervisor does.
    pub outside: Outside,
    /// What the operator allowed this host to lack.
    pub waived: Vec<Waived>,
    /// Layers that a sandbox has elsewhere and this one has not, because of the profile's `isolation`.
    pub absent: Vec<Absent>,
}

/// A layer that is not there, because the profile chose so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Its name in the receipt.
    pub layer: String,
    /// What follows, in words.
    pub what: String,
}

/// What the supervisor does around the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The cgroup, or nothing where the host has none and the profile waives it.
    pub cgroup: Option<CgroupLimits>,
    /// Seconds of wall time; nothing where unlimited.
    pub wall_time_ms: Option<u64>,
    /// CPU time of the whole sandbox in milliseconds; nothing where unlimited.
    pub cpu_time_ms: Option<u64>,
    /// Most bytes of standard output and error together, where the supervisor captures them.
    pub output: Option<u64>,
    /// What goes out, and to whom; nothing where the network is empty, or the host's.
    pub egress: Option<EgressPlan>,
    /// What the command's standard input, output and error are.
    pub streams: [Wire; 3],
    /// What the command may make the caller's terminal do, beyond showing text.
    pub escapes: Vec<Escape>,
    /// What SIGHUP to the supervisor means.
    pub hangup: Hangup,
    /// Whether the service manager hears from the command what it would hear from us.
    pub notify: bool,
    /// What is read before the start, and used by its place here; never told in a plan.
    pub secrets: Vec<Held>,
    /// Where a secret stands in the arguments of a call.
    pub placeholders: Vec<Placeholder>,
    /// What the sandbox's own root has copies of, to be granted after the `tasks` files, in this order.
    pub copies: Vec<Copied>,
    /// User namespaces to make for idmapped mounts; they are granted after the copies, in this
    /// order.
    pub idmaps: Vec<Idmap>,
    /// The program to open and digest; granted last.
    pub pinned: Option<Pinned>,
    /// The writable trees, looked through after the run for what the host may later execute.
    pub watched: Vec<Watched>,
    /// The folder to make for the command's temporary files, with what lies in it; nothing where they
    /// lie in a view of its own.
    pub private: Option<Private>,
}

/// A secret that the supervisor holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its name in the profile.
    pub name: String,
    /// Where it is read.
    pub from: From,
}

/// Where a secret stands for `{{secret:NAME}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placeholder {
    /// Its name in the profile.
    pub secret: String,
    /// The edge, as the profile names it.
    pub call: String,
    /// The tools.
    pub tools: Vec<String>,
    /// The arguments, as JSON pointers.
    pub arguments: Vec<String>,
}

/// Where a secret is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// A file that only its owner may read.
    File(HostPath),
    /// A credential that the service manager passes.
    Systemd(String),
    /// A variable of the supervisor's.
    Env(String),
    /// What a program prints.
    Exec {
        /// The program.
        program: HostPath,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// An encrypted file.
    Age {
        /// The file.
        file: HostPath,
        /// The file with the key.
        identity: HostPath,
    },
    /// An ssh-agent, which keeps it: what is read is its public half.
    Agent {
        /// Where the agent listens.
        socket: HostPath,
        /// What the key is known by.
        key: Fingerprint,
    },
}

/// Something that the sandbox's root has a copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Copied {
    /// A file of a service manager's.
    File {
        /// Which file.
        path: HostPath,
    },
    /// A secret, by its place.
    Secret(u32),
    /// The certificates that the command trusts: those that the host does, and the sandbox's own authority.
    Authority,
    /// The same, as Java reads them; never without those.
    JavaStore,
}

/// What one of the command's standard streams is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wire {
    /// The caller's own; of a file only what `stdio` lets pass.
    Pass,
    /// The sandbox's own terminal.
    Terminal,
    /// A pipe, carried from or to the caller's terminal.
    Carried,
    /// `/dev/null`.
    Nothing,
}

/// What SIGHUP to the supervisor means. A terminal that is gone ends the command either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hangup {
    /// The command is to end.
    Stop,
    /// The command is told, and makes of it what it likes: reads its configuration again, as a rule.
    Forward,
}

/// Something that bytes of the command's make the caller's terminal do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Escape {
    /// Text that leads to an address when it is clicked (OSC 8).
    Links,
    /// Another title of the window (OSC 0, 1, 2).
    Title,
    /// Something put in the clipboard (OSC 52). It is never read.
    Clipboard,
    /// Answers about the terminal itself, which arrive as if typed: kind, state, cursor, colours.
    Reports,
}

impl Escape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Links, Self::Title, Self::Clipboard, Self::Reports];

    /// As it is written in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Title => "title",
            Self::Clipboard => "clipboard",
            Self::Reports => "reports",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|escape| escape.name() == name)
    }
}

/// Limits of the sandbox as a whole. `None` is the operator's `"unlimited"`, which is all of them by
/// default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory from which on the kernel takes back and slows down, v2 alone.
    pub memory_high: Option<u64>,
    /// Bytes of swap beyond memory.
    pub swap: Option<u64>,
    /// Thousandths of one CPU.
    pub cpu_milli: Option<u64>,
    /// The share of busy CPUs beside others', 1 to 10000; nothing leaves the kernel's own, 100.
    pub cpu_weight: Option<u64>,
    /// Processes and threads, init not counted.
    pub processes: Option<u64>,
    /// What may be read from and written to each disk.
    pub io: Vec<IoLimit>,
    /// The v1 hierarchies whose `tasks` files are granted after the network namespace, in this order;
    /// empty on v2.
    pub v1: Vec<Controller>,
}

/// How fast a disk may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoLimit {
    /// Which disk.
    pub disk: Disk,
    /// Bytes read per second.
    pub read: Option<u64>,
    /// Bytes written per second.
    pub write: Option<u64>,
}

/// A map for idmapped mounts: files of the owner on disk belong to the sandbox's user inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idmap {
    /// Owner on disk.
    pub disk_uid: u32,
    /// Group on disk.
    pub disk_gid: u32,
    /// The user inside.
    pub uid: u32,
    /// The group inside.
    pub gid: u32,
}

/// A program whose content is part of the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Which file.
    pub path: HostPath,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
}

/// A folder of one run, outside of every view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// Where; nothing is there yet.
    pub folder: HostPath,
    /// The folders in it that the command may write.
    pub scratch: Vec<HostPath>,
    /// A file in it that everybody may read and write, but for Landlock.
    pub canary: HostPath,
    /// Owner of all of it.
    pub uid: u32,
    /// Group of all of it.
    pub gid: u32,
}

/// A tree the command may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Where on the host.
    pub tree: HostPath,
    /// Protected paths that existed at the start, and so are held.
    pub held: Vec<HostPath>,
    /// The default ACLs of its folders at the start.
    pub acls: BTreeSet<Vec<u8>>,
}

/// A mechanism the host lacks and the profile lets it lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    /// The key of `[require]` that allows it.
    pub key: String,
    /// What is not enforced, in words.
    pub what: String,
}
