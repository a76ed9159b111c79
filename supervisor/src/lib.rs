#![forbid(unsafe_code)]

pub mod cgroup;
pub mod lease;
