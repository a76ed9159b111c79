//! What every run needs and no profile decides, made in a thread of its own while the profile is read
//! and the host looked at: an empty network namespace, which takes the kernel half a millisecond, and
//! the shim in sealed memory.

use super::error::StartError;
use super::image;
use rustix::fd::OwnedFd;
use std::thread::JoinHandle;

/// What is being made.
pub struct Ahead(JoinHandle<Result<Made, StartError>>);

/// What was made.
pub(crate) struct Made {
    /// A network namespace that nobody is in, its loopback interface down.
    pub(crate) network: OwnedFd,
    /// The shim.
    pub(crate) shim: OwnedFd,
}

impl Ahead {
    /// Begins.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn begin() -> Result<Self, StartError> {
        std::thread::Builder::new()
            .name(String::from("ahead"))
            .spawn(make)
            .map(Self)
            .map_err(|error| {
                StartError::found("clone", format!("a thread: {error}")).with_remedy(
                    "the host or an outer limit is out of processes: raise it, or run fewer sandboxes",
                )
            })
    }

    /// Waits until it is made.
    pub(crate) fn finish(self) -> Result<Made, StartError> {
        self.0.join().unwrap_or_else(|_| Err(StartError::found("join", "a thread panicked")))
    }
}

fn make() -> Result<Made, StartError> {
    let network = sandboxd_kernel::process::network_namespace().map_err(|errno| {
        StartError::call("unshare", "CLONE_NEWNET", errno).with_remedy(
            "namespaces are refused here: run as root, outside a container that forbids them (see `sandboxd doctor`)",
        )
    })?;
    Ok(Made { network, shim: image::shim()? })
}
