//! The supervisor: it reads profiles, looks at the host, starts sandboxes through the shim, watches
//! them, and cleans up after them. It holds no unsafe code.
//!
//! Begin with `main.rs`, then [`cli`], then [`sandbox`].
#![forbid(unsafe_code)]

pub mod audit_folder;
mod calls;
pub mod cgroup;
pub mod cli;
mod control;
pub mod explain;
pub mod host;
mod kept;
mod known_hosts;
mod lasting;
mod learn;
pub mod lease;
mod living;
pub mod metrics;
pub mod network;
mod pace;
pub mod paths;
pub mod privilege;
mod proc;
pub mod profile_file;
mod resolver;
pub mod sandbox;
mod secret;
mod service;
pub mod systemd;
pub mod terminal;
mod thread;
