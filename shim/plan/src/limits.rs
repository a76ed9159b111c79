//! Stage `limits`: what one process may use. What the sandbox as a whole may use is the cgroup's
//! affair, and so the supervisor's.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Limits that the kernel keeps per process or per user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Every limit that is set, getrlimit(2).
    pub rlimits: Vec<Rlimit>,
    /// Added to the command's chance of being killed when memory runs out: 0 to 1000, proc(5).
    pub oom_score_adj: i32,
}

/// One limit, soft and hard alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// Which.
    pub resource: Resource,
    /// How much, in the resource's own unit; `u64::MAX` is `RLIM_INFINITY`.
    pub value: u64,
}

/// A resource of getrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Size of a core file in bytes. 1 also keeps a piped handler of the host from running.
    Core,
    /// CPU time of one process in seconds.
    Cpu,
    /// Size of a file a process may make, in bytes.
    Fsize,
    /// Memory a process may lock, in bytes.
    Memlock,
    /// Bytes in POSIX message queues of this user.
    Msgqueue,
    /// Ceiling of the nice value.
    Nice,
    /// One more than the highest descriptor.
    Nofile,
    /// Processes and threads of this user.
    Nproc,
    /// Ceiling of the real-time priority.
    Rtprio,
    /// Signals queued for this user.
    Sigpending,
    /// Size of the stack in bytes.
    Stack,
}
