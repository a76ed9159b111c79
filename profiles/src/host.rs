//! What this host is and has: probed once by the supervisor, invented by tests.
//!
//! Nothing in this crate looks at the host; `resolve` sees it only through these
//! values, so that every kernel can be tried on every kernel.

mod path;

pub use path::{
    Also, Blind, Elsewhere, FileKind, Found, Link, PathFact, ProtectedFact, ProtectedKind, ShownBy,
};

use sandboxd_egress_plan::{HostKey, Known};
use sandboxd_plan::{HostPath, Resource};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Everything `resolve` knows about the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// `uname -r`.
    pub kernel: String,
    /// Landlock, or nothing where the kernel lacks it or boots with it off.
    pub landlock: Option<LandlockFacts>,
    /// Where limits of a whole sandbox can be set.
    pub cgroups: CgroupFacts,
    /// Why a controller is not among those, where it is not.
    pub cgroup_gaps: BTreeMap<Controller, Gap>,
    /// By what right sandboxes are made here.
    pub privilege: Privilege,
    /// Where what happens is written down.
    pub audit: AuditFact,
    /// Who `sandboxd` itself is, and what it can give up.
    pub own: Own,
    /// Whether keyctl(2) is answered, and not refused by a filter around the supervisor.
    pub keyrings: bool,
    /// Whether clone3(2) is answered, which alone starts a process in a v2 cgroup.
    pub clone3: bool,
    /// Whether a filter can ask the supervisor, seccomp_unotify(2) (kernel 5.19), and the answer is what a
    /// program gets: the supervisor is under no filter itself.
    pub listeners: bool,
    /// Whether `vm.memfd_noexec` exists (kernel 6.3) and so a sandbox can forbid fileless execution. Where that
    /// cannot be looked at it counts as there by the kernel's version, and so as lacking where it was ported back.
    pub memfd_noexec: bool,
    /// What the kernel does with the core of a process that dies.
    pub cores: CoreFact,
    /// The highest system call number this kernel implements.
    pub last_syscall: u32,
    /// Hard limits of the supervisor, which a sandbox cannot exceed without `CAP_SYS_RESOURCE`:
    /// `None` where there is none.
    pub open_files_max: Option<u64>,
    /// Other hard limits of the supervisor that a sandbox cannot exceed: those that are not
    /// `RLIM_INFINITY`, where there is no `CAP_SYS_RESOURCE`.
    pub hard_limits: BTreeMap<Resource, u64>,
    /// Users of the host by name: uid and primary gid.
    pub users: BTreeMap<String, (u32, u32)>,
    /// Who runs `sandboxd`: the real uid and gid, or under sudo those of the caller.
    pub invoker: (u32, u32),
    /// The supplementary groups of `sandboxd` itself, its own gid left out.
    pub groups: Vec<u32>,
    /// The host's links in `/` into another tree: `/bin` to `usr/bin` and the like.
    pub top_links: BTreeMap<HostPath, String>,
    /// What was found at each path that `wanted` named.
    pub paths: BTreeMap<HostPath, PathFact>,
    /// The disk below each tree whose input and output is to be limited.
    pub disks: BTreeMap<HostPath, DiskFact>,
    /// How names are resolved, where that was asked for.
    pub resolver: ResolverFacts,
    /// Where `SSH_AUTH_SOCK` says that the ssh-agent of whoever runs `sandboxd` listens.
    pub ssh_agent: Option<HostPath>,
    /// Files that say by which keys hosts are known.
    pub known_hosts: BTreeMap<HostPath, KnownHosts>,
}

/// What a file as `~/.ssh/known_hosts` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownHosts {
    /// The keys of the hosts that were asked for, each as a line of it begins.
    Read(BTreeMap<String, Vec<HostKey>>),
    /// It cannot be read, or others could write it; why.
    Failed(String),
}

/// How this host resolves names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolverFacts {
    /// What `/etc/hosts` has.
    pub hosts: Vec<Known>,
    /// The servers of `/etc/resolv.conf`, in their order.
    pub servers: Vec<SocketAddr>,
    /// Which of the two could not be read, and why.
    pub unread: Vec<Unread>,
}

/// A file of the host's that is there and could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Its path.
    pub path: String,
    /// Why.
    pub why: String,
}

/// A block device, by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Disk {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// What a tree lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFact {
    /// A disk; for a partition the whole of it.
    Disk(Disk),
    /// Memory: counted as such, and not as input and output.
    Memory,
    /// A file system that does not tell its disk, or has none; which.
    Without(String),
}

impl HostFacts {
    /// Whether sandboxes are made by an ordinary user, in a user namespace.
    #[must_use]
    pub fn is_rootless(&self) -> bool {
        self.privilege == Privilege::UserNamespace
    }
}

/// By what right the supervisor makes sandboxes, found by doing it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privilege {
    /// It is root of the machine: in the initial user namespace, with every capability that is needed.
    Root,
    /// It is an ordinary user, whom this host lets be privileged in a user namespace of their own.
    UserNamespace,
    /// Neither: it may make no namespaces here.
    None {
        /// What refuses it, in words.
        what: String,
        /// What to do.
        remedy: String,
    },
}

/// The process that `sandboxd` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Its uid.
    pub uid: u32,
    /// Its gid.
    pub gid: u32,
    /// Whether it can leave its groups: `CAP_SETGID`.
    pub leaves_groups: bool,
    /// Whether it can empty the bounding set: `CAP_SETPCAP`.
    pub empties_bounding: bool,
    /// Whether it can lead what is in a network namespace that it makes: `CAP_NET_ADMIN`.
    pub leads_networks: bool,
}

/// Landlock as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockFacts {
    /// `LANDLOCK_CREATE_RULESET_VERSION`.
    pub abi: u32,
    /// `LANDLOCK_CREATE_RULESET_ERRATA`; 0 below ABI 7.
    pub errata: u32,
}

/// The cgroup hierarchies, cgroups(7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupFacts {
    /// One v2 hierarchy; the controllers that a child of the supervisor's node can have.
    V2 {
        /// Controllers available.
        controllers: Vec<Controller>,
    },
    /// v1 hierarchies, each with its own mount. `unified` tells whether an (otherwise almost empty)
    /// v2 hierarchy beside them gives clone-into, kill, freeze and an id.
    V1 {
        /// Controllers available.
        controllers: Vec<Controller>,
        /// Whether there is a v2 hierarchy beside them.
        unified: bool,
    },
    /// No hierarchy that can be written.
    None,
}

impl CgroupFacts {
    /// The controllers limits can be set with.
    #[must_use]
    pub fn controllers(&self) -> &[Controller] {
        match self {
            Self::V2 { controllers } | Self::V1 { controllers, .. } => controllers,
            Self::None => &[],
        }
    }
}

/// A controller this product sets limits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// Memory and swap.
    Memory,
    /// Processes and threads.
    Pids,
    /// CPU bandwidth and weight.
    Cpu,
    /// Input and output of disks.
    Io,
}

impl Controller {
    /// Its name in `cgroup.controllers`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Io => "io",
        }
    }

    /// The name of its v1 hierarchy.
    #[must_use]
    pub const fn v1_name(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            Self::Memory | Self::Pids | Self::Cpu => self.name(),
        }
    }
}

/// Why something cannot be had here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub why: String,
    /// What to do.
    pub remedy: String,
}

/// Where what happens is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditFact {
    /// In this folder, which no sandbox may reach.
    Folder(HostPath),
    /// It cannot be.
    Lacking(Gap),
}

/// `kernel.core_pattern`, core(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreFact {
    /// It writes a file.
    File,
    /// It runs a program as root, unless the limit of cores is 1 byte.
    Program,
    /// It gives it to a socket whatever the limit (kernel 6.16).
    Socket,
}

/// What the supervisor assigned to this one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The sandbox's id: the profile's name and a suffix no other living sandbox has.
    pub id: String,
    /// The uid, and gid, of the command where the profile says `user = "dynamic"`; without root that of
    /// the caller, who has no other to give.
    pub uid: u32,
    /// The uid, and gid, of init: never the command's, but for sandboxes made without root.
    pub init_uid: u32,
    /// A folder that is made for this run alone, by a name that nobody can guess, and removed after it.
    /// Only for sandboxes without a view of their own, whose temporary files lie in it.
    pub folder: Option<HostPath>,
}
