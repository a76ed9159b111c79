//! The cgroup of a sandbox: what the sandbox as a whole may use, who is in it, and its end.
//!
//! Kernel: cgroups(7), v1, hybrid and v2; `cgroup.kill` since 5.14, `CLONE_INTO_CGROUP` since 5.7.
//! Nothing outside this folder knows which of them the host has.
//!
//! Read in this order: [`mounts`] (what `/proc` says about hierarchies), [`tree`] (where groups can
//! be made, the host facts), `node` (whose that is on v2), [`dir`](mod@dir) (one directory of one
//! hierarchy, held by descriptor), [`v1`] and [`v2`] (limits as files), [`group`] (one sandbox's
//! group), [`usage`], `locks` (who owns what), [`sweep`], [`leftovers`].
//!
//! # Where groups lie
//! `<own>/sandboxd.<id>` in each hierarchy, `<own>` being the cgroup that the supervisor itself is
//! in, so that whatever limits the supervisor limits its sandboxes too; or `/<parent>/sandboxd.<id>`
//! where the operator names a parent. Nothing above `<own>` is ever written, and nothing stays in it
//! but, on v2, what enabling controllers takes: the leaf that the supervisor moved into, and its mark.
//!
//! What a sandbox calls has its group in the sandbox's own, so that it uses what the sandbox may use. On v2
//! a group has either processes or groups with controllers, so the sandbox's processes are in a leaf then.
//!
//! # Who owns a group
//! Whoever holds the flock(2) on its directories. The kernel drops the lock with the supervisor,
//! however that ends, and pids, which may be reused or belong to another namespace, play no part.

pub mod dir;
mod error;
pub mod group;
pub mod leftovers;
mod locks;
pub mod mounts;
mod node;
pub mod sweep;
pub mod tree;
pub mod usage;
pub mod v1;
pub mod v2;

pub use error::CgroupError;
pub use group::{Group, Room};
pub use leftovers::leftovers;
pub use sweep::{Swept, sweep};
pub use tree::{Missing, Placement, Tree};
pub use usage::{Pressures, Usage};
