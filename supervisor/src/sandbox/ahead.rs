//! What every run needs and no profile decides, made in a thread of its own while the profile is read
//! and the host looked at: an empty network namespace, which takes the kernel half a millisecond, and
//! the shim in sealed memory. After that the thread sweeps up what killed supervisors left, which
//! nobody waits for: the end of this process ends it, and the next one goes on.

use super::error::StartError;
use super::image;
use crate::cgroup::{Placement, Tree, sweep};
use crate::lease::Settings;
use rustix::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What is being made.
pub struct Ahead(Receiver<Result<Made, StartError>>);

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
        let (sender, made) = channel();
        std::thread::Builder::new()
            .name(String::from("ahead"))
            .spawn(move || work(&sender))
            .map(|_| Self(made))
            .map_err(|error| {
                StartError::found("clone", format!("a thread: {error}")).with_remedy(
                    "the host or an outer limit is out of processes: raise it, or run fewer sandboxes",
                )
            })
    }

    /// Waits until it is made.
    pub(crate) fn made(&self) -> Result<Made, StartError> {
        self.0.recv().unwrap_or_else(|_| Err(StartError::found("recv", "a thread panicked")))
    }
}

fn work(sender: &Sender<Result<Made, StartError>>) {
    // Nobody waits for it any more where the profile turned out to have problems.
    if sender.send(make()).is_ok() {
        sweep_up();
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

/// What cannot be removed now is for the next run, and no fault of this one.
fn sweep_up() {
    let Ok(settings) = Settings::read() else { return };
    let placement = settings.cgroups.parent.map_or(Placement::Own, Placement::Below);
    if let Ok(tree) = Tree::find(&placement) {
        drop(sweep(&tree));
    }
}
