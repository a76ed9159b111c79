//! What this process and the service manager have to do with each other, systemd(1).
//!
//! Read in this order: [`notify`] (what it is told of a run), [`words`] (by the command itself),
//! [`sockets`] and [`credentials`] (what it passes on),
//! [`scope`] (a cgroup of one's own, asked for), [`bus`] (how it is asked).

mod bus;
pub(crate) mod credentials;
pub(crate) mod notify;
pub mod scope;
pub(crate) mod sockets;
pub(crate) mod words;

/// Whether systemd manages this machine, as sd_booted(3) finds it.
#[must_use]
pub fn is_booted() -> bool {
    std::fs::symlink_metadata("/run/systemd/system").is_ok_and(|found| found.is_dir())
}
