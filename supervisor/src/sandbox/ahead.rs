//! What every run needs and no profile decides, made in a thread of its own while the profile is read
//! and the host looked at: by what right sandboxes are made, tried where it is not root's; for root an
//! empty network namespace, which takes the kernel half a millisecond; and the shim in sealed memory.
//! After that the thread of root's sweeps up what killed supervisors left, which
//! nobody waits for: the end of this process ends it, and the next one goes on. For as long as the
//! supervisor itself may hang in a call it looks at the clock, see [`deadline`].

use super::deadline::{self, MARGIN, START_WITHIN};
use super::error::StartError;
use super::image;
use crate::cgroup::{Placement, Tree, sweep};
use crate::lease::Settings;
use crate::privilege;
use rustix::fd::OwnedFd;
use sandboxd_profiles::host::Privilege;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

/// What is being made. Letting go of it says that the start is over, or has failed.
pub struct Ahead {
    privilege: Receiver<Privilege>,
    made: Receiver<Result<Made, StartError>>,
    /// Never sent on: its end is what the thread waits for.
    _starting: Sender<()>,
}

/// Tells why nothing was started, and gives the exit status. It is called while the rest of the
/// supervisor hangs.
pub type Late = Box<dyn FnOnce(&StartError) -> u8 + Send>;

/// What was made.
pub(crate) struct Made {
    /// A network namespace that nobody is in, its loopback interface down. Only root can make one for a
    /// process that is not there yet.
    pub(crate) network: Option<OwnedFd>,
    /// The shim.
    pub(crate) shim: OwnedFd,
}

impl Ahead {
    /// Begins. Where the start is not over in time, the process ends, with what `late` says.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn begin(since: Instant, late: Late) -> Result<Self, StartError> {
        let (found, privilege) = channel();
        let (sender, made) = channel();
        let (starting, over) = channel();
        std::thread::Builder::new()
            .name(String::from("ahead"))
            .spawn(move || {
                work(&found, &sender);
                watch(&over, since, late);
            })
            .map(|_| Self { privilege, made, _starting: starting })
            .map_err(|error| {
                StartError::found("clone", format!("a thread: {error}")).with_remedy(
                    "the host or an outer limit is out of processes: raise it, or run fewer sandboxes",
                )
            })
    }

    /// Waits until it is known by what right sandboxes are made here.
    pub(crate) fn privilege(&self) -> Result<Privilege, StartError> {
        self.privilege.recv().map_err(|_| StartError::found("recv", "a thread panicked"))
    }

    /// Waits until it is made.
    pub(crate) fn made(&self) -> Result<Made, StartError> {
        self.made.recv().unwrap_or_else(|_| Err(StartError::found("recv", "a thread panicked")))
    }
}

fn work(found: &Sender<Privilege>, sender: &Sender<Result<Made, StartError>>) {
    let privilege = privilege::find();
    let root = privilege == Privilege::Root;
    // Nobody waits for it any more where the profile turned out to have problems.
    if found.send(privilege).is_ok() && sender.send(make(root)).is_ok() && root {
        sweep_up();
    }
}

/// Waits until the start is over. Leaving the process is all that ends a thread that hangs in a call;
/// its lease stays busy and its cgroup is swept by the next.
#[expect(clippy::exit, reason = "the thread that would return from main hangs in a call")]
fn watch(over: &Receiver<()>, since: Instant, late: Late) {
    let left = (since + START_WITHIN + MARGIN).saturating_duration_since(Instant::now());
    if over.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
        std::process::exit(i32::from(late(&deadline::own())));
    }
}

fn make(root: bool) -> Result<Made, StartError> {
    let network = if root { Some(network()?) } else { None };
    Ok(Made { network, shim: image::shim()? })
}

fn network() -> Result<OwnedFd, StartError> {
    sandboxd_kernel::process::network_namespace().map_err(|errno| {
        StartError::call("unshare", "CLONE_NEWNET", errno).with_remedy(
            "namespaces are refused here: run outside a container that forbids them (see `sandboxd doctor`)",
        )
    })
}

/// What cannot be removed now is for the next run, and no fault of this one.
fn sweep_up() {
    let Ok(settings) = Settings::read() else { return };
    let placement = settings.cgroups.parent.map_or(Placement::Own, Placement::Below);
    if let Ok(tree) = Tree::find(&placement) {
        drop(sweep(&tree));
    }
}
