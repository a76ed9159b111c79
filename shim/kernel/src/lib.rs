//! Typed system calls that rustix does not have, and starting a process the way a supervisor must.
//!
//! Mechanism only: this crate knows no profile and no plan. Together with `sandboxd-start` it holds
//! all unsafe code of the product; whatever rustix offers is used from there, where it is needed.
//! What runs between clone and execve in memory that a parent shares allocates nothing.
//!
//! Read in this order: [`syscall`], then one file per mechanism.
#![no_std]

extern crate alloc;

mod clone;
pub mod exec;
pub mod fds;
pub mod guard;
pub mod interfaces;
pub mod keyring;
pub mod landlock;
pub mod locked;
pub mod mount;
pub mod peer;
pub mod process;
pub mod seccomp;
pub mod signals;
mod syscall;
pub mod userns;

pub use clone::clone3_is_answered;
pub use rustix::io::{Errno, Result};
