//! What the shim executes.
//!
//! A [`Plan`] is complete: it holds no default and nothing that depends on the host any more. `None` means
//! "do nothing"; it never means "decide yourself". `sandboxd-profiles` makes it, the shim executes it, `sandboxd plan` prints it. This crate
//! does no input or output and makes no system call.
//!
//! Read in this order: [`stage`] (the stages and how one fails), [`root`], [`limits`], [`terminal`],
//! [`ending`], [`confinement`] in [`layers`], [`exec`], [`probe`], then [`report`] (what the shim answers) and [`wire`] (how a
//! plan becomes bytes).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod confinement;
pub mod ending;
pub mod exec;
pub mod layers;
pub mod limits;
pub mod path;
pub mod probe;
pub mod report;
pub mod root;
pub mod stage;
pub mod terminal;
pub mod text;
pub mod wire;

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

pub use confinement::{
    Bounding, Confinement, Filter, Groups, Identity, Landlock, PathRule, PortRule, Refusals,
};
pub use ending::Ending;
pub use exec::Exec;
pub use layers::{Layer, Layers};
pub use limits::{Limits, Resource, Rlimit};
pub use path::{HostPath, JailPath, PathError};
pub use probe::{Answer, Probe};
pub use report::{Enforced, Notice, Report};
pub use root::{Arrives, Inode, Kind, Mount, Owner, Root, RootOp};
pub use stage::{Call, Failure, Stage};
pub use terminal::Terminal;
pub use text::Text;

/// The version of this wire. Raised with each release that changes a type of this crate: both ends travel in one file.
pub const VERSION: u32 = 3;

/// Everything the shim does, in the order in which it does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`VERSION`]; a shim refuses any other.
    pub version: u32,
    /// The sandbox's id, for messages.
    pub id: String,
    /// Stage `session`.
    pub session: Session,
    /// Stage `namespaces`.
    pub namespaces: Namespaces,
    /// Stage `root`.
    pub root: Root,
    /// Stage `limits`.
    pub limits: Limits,
    /// Stage `terminal`; nothing where the command has no terminal.
    pub terminal: Option<Terminal>,
    /// Stage `split`: how everything in the sandbox ends when init does.
    pub ending: Ending,
    /// Stage `split`: what both halves give up before they part.
    pub bounding: Bounding,
    /// Stages `identity`, `landlock` and `seccomp` of the init process, which stays as PID 1.
    pub init: Confinement,
    /// Stages `identity`, `landlock` and `seccomp` of the command.
    pub command: Confinement,
    /// Stage `seccomp`: who answers what the innermost filter of the command refuses.
    pub refusals: Refusals,
    /// Stage `self-test`: what is tried, and the answer that lets the run go on.
    pub probes: Vec<Probe>,
    /// Stage `exec`.
    pub exec: Exec,
}

/// What the process starts from, whatever the supervisor's own session was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// File mode creation mask, umask(2).
    pub umask: u32,
    /// The session keyring.
    pub keyring: Keyring,
    /// How many descriptors, beginning at [`fds::FIRST_GRANTED`], the shim was given beyond the
    /// fixed ones. Everything above them is closed before anything else happens.
    pub granted: u32,
}

/// Which session keyring the sandbox has, session-keyring(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keyring {
    /// A new one, with nothing in it.
    New,
    /// None that it could reach: a filter around the supervisor refuses keyctl(2) to whatever it
    /// starts.
    Unreachable,
}

/// What the shim completes in the namespaces it was cloned into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespaces {
    /// Host name inside, sethostname(2).
    pub hostname: String,
    /// Granted descriptors of cgroup v1 `tasks` files: the shim writes itself into each, which costs
    /// a hundredth of being moved by pid from outside.
    pub tasks: Vec<u32>,
    /// The granted descriptor of the network namespace to enter, which was made while the profile was
    /// being read; nothing where the sandbox keeps the host's, or was cloned into its own with the
    /// others, because a user namespace can only be given a network namespace that it made.
    pub network: Option<u32>,
    /// The namespaces the process must be in already; the shim verifies nothing about them, the
    /// supervisor compares them from outside before the command runs.
    pub own: Vec<Namespace>,
}

/// A kind of namespace, namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Mount points, mount_namespaces(7).
    Mnt,
    /// Process ids, pid_namespaces(7).
    Pid,
    /// System V IPC and POSIX message queues, ipc_namespaces(7).
    Ipc,
    /// Host name, uts_namespaces(7).
    Uts,
    /// Cgroup root, cgroup_namespaces(7). Made by the shim, after it joined its cgroups.
    Cgroup,
    /// Network devices, addresses, ports and abstract sockets, network_namespaces(7).
    Net,
    /// User and group ids, user_namespaces(7): the command's uid and gid are themselves, and nobody
    /// else is anybody. Only where the supervisor is not root.
    User,
}

impl Namespace {
    /// Its name under `/proc/<pid>/ns`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mnt => "mnt",
            Self::Pid => "pid",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Net => "net",
            Self::User => "user",
        }
    }
}

/// The descriptors a shim starts with.
pub mod fds {
    /// The sealed memfd that holds the plan.
    pub const PLAN: i32 = 3;
    /// `SOCK_SEQPACKET`: [`Report`](crate::Report) out, one byte `go` in. Closed by the exec.
    pub const REPORT: i32 = 4;
    /// `SOCK_SEQPACKET`: init's end of the lifeline. [`Notice`](crate::Notice)s out, nothing in; end
    /// of file means the supervisor is gone.
    pub const LIFELINE: i32 = 5;
    /// The first descriptor that a plan refers to by number.
    pub const FIRST_GRANTED: i32 = 6;
}
