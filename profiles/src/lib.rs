//! Profiles: what the operator writes, checked and resolved into what the shim executes.
#![forbid(unsafe_code)]

pub mod host;
pub mod problem;
pub mod resolved;
pub mod syscalls;

pub use host::{HostFacts, Lease};
pub use problem::Problem;
pub use resolved::{Outside, Resolved};
