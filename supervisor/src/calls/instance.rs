//! A process that is called: a run like any other, in a thread of its own, under what the edge gives,
//! with pipes to the broker for its standard input and output.

use super::desk::News;
use super::hold::{Claim, Hold};
use super::{Caller, Shared};
use crate::cgroup::Tree;
use crate::sandbox::{self, Ahead, Around, Finished, MakeReceipt, Request, StartError, Then};
use crate::service::pipes::Pipes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use sandboxd_profiles::graph::Launch;
use sandboxd_profiles::{Credentials, Invocation, Listening, Manager, Profile, Stream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// What is wanted of an instance.
pub(super) struct Wanted {
    pub(super) launch: Launch,
    /// Over which edge: its place in the plan.
    pub(super) edge: u64,
    /// The profile that calls it; nothing where it is for several.
    pub(super) from: Option<String>,
    /// Where its cgroup is made; nothing where its caller has none.
    pub(super) within: Option<Arc<Tree>>,
    /// The instance that called it; 0 where that is none.
    pub(super) behalf: u64,
    /// Whose place it takes, where there is no other: it is waited for first.
    pub(super) after: Option<Instance>,
    pub(super) shared: Arc<Shared>,
}

/// Who it is for.
pub(super) enum For {
    /// Somebody who called.
    Caller(Claim),
    /// Whoever claims it; and its number among those that are kept ready.
    Nobody(Arc<Hold>, u64),
}

/// An instance that was begun. It ends where nobody has it any more; only [`Instance::gone`] waits for that.
pub(super) struct Instance {
    /// Its end is the instance's.
    tie: Option<OwnedFd>,
    /// The instance that called it; 0 where that is none.
    pub(super) behalf: u64,
    /// The profile that called it, nothing where it is for several; and its own.
    pub(super) caller: Option<String>,
    pub(super) callee: String,
    /// Over which edge it was called first.
    pub(super) edge: u64,
    thread: JoinHandle<Vec<String>>,
}

/// What the sandbox of an instance gets of its own.
pub struct Streams {
    /// Its standard input and output.
    pub(crate) pipes: Pipes,
    /// A pipe whose end is its end.
    pub(crate) orders: OwnedFd,
    /// Whose it is.
    pub(crate) whose: Whose,
}

/// Whose an instance is.
pub(crate) enum Whose {
    /// Somebody's who called: who it is where it calls itself, and why it was not kept ready, where one should
    /// have been.
    Callers(Option<Caller>, Option<String>),
    /// Nobody's, until it is claimed.
    Nobodys(Arc<Hold>),
}

impl Instance {
    /// Begins to start it, and does not wait.
    ///
    /// # Errors
    /// Where there is no thread or descriptor to be had.
    pub(super) fn begin(wanted: Wanted, whose: For) -> Result<Self, StartError> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (orders, tie) = rustix::pipe::pipe_with(flags)
            .map_err(|errno| StartError::call("pipe2", "an instance", errno))?;
        let (behalf, shared) = (wanted.behalf, Arc::clone(&wanted.shared));
        let (caller, callee) = (wanted.from.clone(), wanted.launch.profile.name().to_owned());
        let edge = wanted.edge;
        let name = match &whose {
            For::Caller(claim) => format!("instance-{}", claim.number),
            For::Nobody(_, number) => format!("ready-{number}"),
        };
        shared.one_more(behalf);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || live(wanted, whose, &orders))
            .map_err(|error| {
                shared.one_less(behalf);
                StartError::io("clone3", "an instance", &error)
            })?;
        Ok(Self { tie: Some(tie), behalf, caller, callee, edge, thread })
    }

    /// One that is as it was wanted, and of which nothing runs.
    #[cfg(test)]
    pub(super) fn idle(wanted: Wanted) -> Self {
        let Wanted { launch, edge, from: caller, behalf, .. } = wanted;
        let (tie, callee) = (None, launch.profile.name().to_owned());
        let thread = std::thread::spawn(Vec::new);
        Self { tie, behalf, caller, callee, edge, thread }
    }

    /// Asks for its end.
    pub(super) fn end(&mut self) {
        self.tie = None;
    }

    /// Whether it was asked to: it may still run for a while.
    pub(super) const fn is_to_end(&self) -> bool {
        self.tie.is_none()
    }

    /// Waits until nothing of it is left, and tells what could not be cleaned up.
    pub(super) fn gone(self) -> Vec<String> {
        drop(self.tie);
        let panicked = "not cleaned up: the thread of an instance panicked";
        self.thread.join().unwrap_or_else(|_| vec![panicked.to_owned()])
    }
}

/// From its start to its end; tells what could not be cleaned up.
fn live(wanted: Wanted, whose: For, orders: &OwnedFd) -> Vec<String> {
    let Wanted { launch, edge: _, from: _, within, behalf, after, shared } = wanted;
    let mut left = after.map(Instance::gone).unwrap_or_default();
    let one = One { launch, within, shared };
    let over = match whose {
        For::Caller(claim) => one.for_caller((claim, None), orders, &mut left),
        For::Nobody(hold, number) => one.for_nobody(&hold, number, orders, &mut left),
    };
    one.shared.one_less(behalf);
    one.shared.bell.ring(over);
    left
}

/// What is called has no terminal, whatever its caller has, and no socket or credential of systemd's.
///
/// # Errors
/// Where its environment or folders cannot be told.
pub(crate) fn invocation(profile: &Profile) -> Result<Invocation, StartError> {
    Ok(Invocation {
        streams: [Stream::Pipe; 3],
        listening: Listening::default(),
        credentials: Credentials::default(),
        manager: Manager::default(),
        ..sandbox::invocation(profile)?
    })
}

/// Whether whoever holds the other end let go of it. Where that cannot be told it did not: what is started then
/// ends with it all the same.
fn is_cut(orders: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(orders, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&at_once)));
    polled.is_ok() && fds.iter().any(|fd| fd.revents().contains(PollFlags::HUP))
}

/// Nobody told it to end, and yet nothing failed.
fn ended_early() -> StartError {
    StartError::found("claim", "it ended before it was claimed").with_remedy(
        "something killed the process that serves it: look for the OOM killer in the kernel's log",
    )
}

/// What is started.
struct One {
    launch: Launch,
    within: Option<Arc<Tree>>,
    shared: Arc<Shared>,
}

impl One {
    /// Runs it for somebody, from its start to its end.
    fn for_caller(
        &self,
        (claim, instead): (Claim, Option<String>),
        orders: &OwnedFd,
        left: &mut Vec<String>,
    ) -> News {
        let Claim { number, caller } = claim;
        let mut started = |pipes| {
            self.shared.bell.ring(News::Started { instance: number, pipes });
        };
        let ended = self.run(Whose::Callers(caller, instead), orders, &mut started);
        self.over(number, ended, left)
    }

    /// Keeps it ready, and runs it once it is claimed. Where that is too late for this one, or it is not what
    /// would be started by then, another one is started in its stead.
    fn for_nobody(
        &self,
        hold: &Arc<Hold>,
        ready: u64,
        orders: &OwnedFd,
        left: &mut Vec<String>,
    ) -> News {
        let mut went = false;
        let mut started = |pipes| {
            if let Some(instance) = hold.number() {
                went = true;
                self.shared.bell.ring(News::Started { instance, pipes });
            }
        };
        let ended = self.run(Whose::Nobodys(Arc::clone(hold)), orders, &mut started);
        let claim = hold.close();
        if let (Some(claim), true) = (&claim, went) {
            return self.over(claim.number, ended, left);
        }
        // It did not run. Only its tie says whether it was told to end: a sandbox whose services end counts as
        // stopped, whoever ended them.
        let told = is_cut(orders);
        let why = match ended {
            Ok(more) => {
                left.extend(more);
                ended_early()
            }
            Err(why) => why,
        };
        match claim {
            None => News::Unused { ready, why: (!told).then(|| (self.name(), why)) },
            Some(claim) if told => News::Over { instance: claim.number, refused: None },
            Some(claim) => self.for_caller((claim, Some(why.line())), orders, left),
        }
    }

    fn over(
        &self,
        instance: u64,
        ended: Result<Vec<String>, StartError>,
        left: &mut Vec<String>,
    ) -> News {
        let refused = match ended {
            Ok(more) => {
                left.extend(more);
                None
            }
            Err(error) => Some((self.name(), error)),
        };
        News::Over { instance, refused }
    }

    fn name(&self) -> String {
        self.launch.profile.name().to_owned()
    }

    /// Runs it; `started` gets the broker's ends of its pipes once it is let go.
    fn run(
        &self,
        whose: Whose,
        orders: &OwnedFd,
        started: &mut dyn FnMut(Pipes),
    ) -> Result<Vec<String>, StartError> {
        let (launch, shared) = (&self.launch, &self.shared);
        let since = Instant::now();
        let failed = |call| move |errno| StartError::call(call, "an instance", errno);
        let (brokers, pipes) = Pipes::between().map_err(failed("pipe"))?;
        let orders = rustix::io::fcntl_dupfd_cloexec(orders, 3).map_err(failed("fcntl"))?;
        let told = Arc::clone(shared);
        let late = Box::new(move |error: &StartError| {
            (told.calls.refused)("what was called", error);
            error.exit_status()
        });
        let ahead = Ahead::begin(since, Then::Rest, late)?;
        let (metrics, receipt) = (shared.calls.metrics.clone(), shared.calls.receipt.clone());
        let invocation = Invocation { metrics, receipt, ..invocation(&launch.profile)? };
        let request = Request {
            profile: &launch.profile,
            under: &launch.under,
            invocation: &invocation,
            since,
            ahead,
            audit: shared.audit.of(&launch.profile),
            digest: false,
            around: Around::Instance(Streams { pipes, orders, whose }),
            within: self.within.clone(),
            sockets: Vec::new(),
            purses: shared.calls.purses.clone(),
        };
        let mut brokers = Some(brokers);
        let Finished { left, .. } = sandbox::run(
            request,
            Some(&mut |_: MakeReceipt<'_>| {
                brokers.take().into_iter().for_each(&mut *started);
                Ok(())
            }),
        )?;
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_is_cut_once_nobody_holds_it() {
        let (orders, tie) = rustix::pipe::pipe().unwrap();
        assert!(!is_cut(&orders));
        drop(tie);
        assert!(is_cut(&orders));
    }
}
