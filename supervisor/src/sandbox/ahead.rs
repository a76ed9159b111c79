//! What every run needs and no profile decides, made in a thread of its own while the profile is read
//! and the host looked at: by what right sandboxes are made, tried where it is not root's; for root an
//! empty network namespace, which takes the kernel half a millisecond; and the shim in sealed memory.
//! After that it sweeps up what killed supervisors left, control sockets and for root cgroups and leases, which
//! nobody waits for: the end of this process ends it, and the next one goes on. For as long as the supervisor itself may hang in a
//! call it looks at the clock, see [`deadline`].

use super::deadline::{self, MARGIN, START_WITHIN};
use super::error::StartError;
use super::image;
use crate::cgroup::{Tree, sweep};
use crate::control;
use crate::lease::{Pool, RunDir, Settings};
use crate::privilege;
use rustix::fd::OwnedFd;
use sandboxd_profiles::host::Privilege;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

/// What is being made. Letting go of it ends the thread, whether the start is over or has failed.
pub struct Ahead {
    privilege: Receiver<Privilege>,
    made: Receiver<Result<Made, StartError>>,
    /// Told where cgroups are made.
    settled: Sender<Arc<Tree>>,
    watched: Watched,
}

/// A start that somebody looks at the clock for. The end of the last of these is its end.
#[derive(Clone)]
pub(crate) struct Watched {
    clock: Sender<Clock>,
    /// Whether it is over, or was ended.
    stands: Arc<AtomicU8>,
}

/// Nobody has decided. What is decided first stays so: a start that is over is not ended, and of one that is to be
/// ended the command is not let go.
const BEGUN: u8 = 0;
/// Nothing is left that can keep the command from running.
const OVER: u8 = 1;
/// It took too long.
const LATE: u8 = 2;

fn decide(stands: &AtomicU8, how: u8) -> bool {
    stands.compare_exchange(BEGUN, how, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// What is said to whoever looks at the clock.
enum Clock {
    /// Nobody waits for the start.
    Rests,
    /// Somebody does since then.
    Runs(Instant),
}

impl Watched {
    /// All that could hang was done, and nobody waits for the rest yet.
    pub(crate) fn rest(&self) {
        // A thread that panicked looks at nothing.
        self.clock.send(Clock::Rests).ok();
    }

    /// Somebody waits for the rest from now on.
    pub(crate) fn go_on(&self) {
        self.clock.send(Clock::Runs(Instant::now())).ok();
    }
}

/// What the thread does once everything is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Sweep up after killed supervisors.
    Sweep,
    /// Nothing: whoever looks at what they left must find it there.
    Rest,
}

/// Tells why nothing was started, and gives the exit status. It is called while the rest of the
/// supervisor hangs.
pub type Late = Box<dyn FnOnce(&StartError) -> u8 + Send>;

/// What was made.
pub(crate) struct Made {
    /// A network namespace that nobody is in, its loopback interface down, or why there is none; only a
    /// plan that wants one asks. Only root can make one for a process that is not there yet.
    pub(crate) network: Option<Result<OwnedFd, StartError>>,
    /// The shim.
    pub(crate) shim: OwnedFd,
}

impl Ahead {
    /// Begins. Where the start is not over in time, the process ends, with what `late` says.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn begin(since: Instant, then: Then, late: Late) -> Result<Self, StartError> {
        let (found, privilege) = channel();
        let (sender, made) = channel();
        let (settled, told) = channel();
        let (clock, told_of) = channel();
        let stands = Arc::new(AtomicU8::new(BEGUN));
        let watched = Arc::clone(&stands);
        std::thread::Builder::new()
            .name(String::from("ahead"))
            .spawn(move || {
                let root = work(&found, &sender);
                if then == Then::Sweep {
                    sweep_up(root.then_some(&told), since + START_WITHIN + MARGIN);
                }
                watch(&told_of, &watched, since, late);
            })
            .map(|_| Self { privilege, made, settled, watched: Watched { clock, stands } })
            .map_err(|error| {
                StartError::io("clone3", "a thread", &error).with_remedy(
                    "the host or an outer limit is out of processes: raise it, or run fewer sandboxes",
                )
            })
    }

    /// Waits until it is known by what right sandboxes are made here.
    pub(crate) fn privilege(&self) -> Result<Privilege, StartError> {
        self.privilege.recv().map_err(|_| StartError::found("recv", "a thread panicked"))
    }

    /// Says where cgroups are made, which is where killed supervisors left theirs.
    pub(crate) fn settled(&self, tree: &Arc<Tree>) {
        // Whoever rests does not listen.
        self.settled.send(Arc::clone(tree)).ok();
    }

    /// Who looks at the clock.
    pub(crate) fn watched(&self) -> Watched {
        self.watched.clone()
    }

    /// The start is over, which whoever looks at the clock sees once its time is up, and not before. False where that
    /// was sooner: then this process is about to end.
    pub(crate) fn over(&self) -> bool {
        decide(&self.watched.stands, OVER)
    }

    /// Waits until it is made.
    pub(crate) fn made(&self) -> Result<Made, StartError> {
        self.made.recv().unwrap_or_else(|_| Err(StartError::found("recv", "a thread panicked")))
    }
}

/// Says whether this start goes on, and is root's.
fn work(found: &Sender<Privilege>, sender: &Sender<Result<Made, StartError>>) -> bool {
    let privilege = privilege::find();
    let root = privilege == Privilege::Root;
    // Nobody waits for it any more where the profile turned out to have problems.
    let awaited = found.send(privilege).is_ok() && sender.send(make(root)).is_ok();
    awaited && root
}

/// Waits until the start is over. Leaving the process is all that ends a thread that hangs in a call;
/// its lease stays busy and its cgroup is swept by the next.
#[expect(clippy::exit, reason = "the thread that would return from main hangs in a call")]
fn watch(clock: &Receiver<Clock>, stands: &AtomicU8, since: Instant, late: Late) {
    let mut since = Some(since);
    loop {
        let told = match since {
            None => clock.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(since) => {
                let until = since + START_WITHIN + MARGIN;
                clock.recv_timeout(until.saturating_duration_since(Instant::now()))
            }
        };
        match told {
            Ok(Clock::Rests) => since = None,
            Ok(Clock::Runs(from)) => since = Some(from),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) if decide(stands, LATE) => break,
            Err(RecvTimeoutError::Timeout) => return,
        }
    }
    std::process::exit(i32::from(late(&deadline::own())));
}

fn make(root: bool) -> Result<Made, StartError> {
    let network = root.then(network);
    Ok(Made { network, shim: image::shim()? })
}

fn network() -> Result<OwnedFd, StartError> {
    sandboxd_kernel::process::network_namespace().map_err(|errno| {
        StartError::call("unshare", "CLONE_NEWNET", errno)
            .with_remedy(super::spawn::no_namespaces())
    })
}

/// What cannot be removed now is for the next run, and no fault of this one. Where cgroups are made, only root's
/// start is told.
fn sweep_up(settled: Option<&Receiver<Arc<Tree>>>, until: Instant) {
    drop(control::left(true));
    let Some(settled) = settled else { return };
    let left = until.saturating_duration_since(Instant::now());
    let Ok(tree) = settled.recv_timeout(left) else { return };
    let swept = sweep(&tree);
    if swept.removed.is_empty() {
        return;
    }
    let Ok(settings) = Settings::read() else { return };
    let Ok(pool) = RunDir::open().and_then(|run| Pool::open(settings.uids, &run)) else { return };
    // The id ends in the uid that was leased.
    let uids = swept.removed.iter().filter_map(|id| id.rsplit_once('-')?.1.parse().ok());
    uids.for_each(|uid| drop(pool.free(uid)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start whose time was up before it began.
    fn long_ago() -> Instant {
        Instant::now().checked_sub(START_WITHIN + MARGIN).unwrap()
    }

    fn never() -> Late {
        Box::new(|_| unreachable!("the start was over"))
    }

    #[test]
    fn a_start_that_is_over_is_not_ended_for_its_time() {
        // Nobody lets go of it meanwhile.
        let (clock, told_of) = channel();
        let stands = AtomicU8::new(BEGUN);
        assert!(decide(&stands, OVER));
        watch(&told_of, &stands, long_ago(), never());
        for said in [Clock::Rests, Clock::Runs(long_ago())] {
            clock.send(said).unwrap();
        }
        watch(&told_of, &stands, Instant::now(), never());
        drop(clock);
    }

    #[test]
    fn of_one_that_is_to_be_ended_the_command_is_not_let_go() {
        let stands = AtomicU8::new(BEGUN);
        assert!(decide(&stands, LATE));
        assert!(!decide(&stands, OVER));
    }

    #[test]
    fn one_that_is_let_go_of_is_watched_no_longer() {
        let (clock, told_of) = channel();
        clock.send(Clock::Rests).unwrap();
        drop(clock);
        watch(&told_of, &AtomicU8::new(BEGUN), Instant::now(), never());
    }
}
