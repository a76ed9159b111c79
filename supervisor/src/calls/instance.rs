//! A process that is called: a run like any other, in a thread of its own, under what the edge gives,
//! with a socket to the broker for its standard input and output.

use super::desk::News;
use super::{Caller, Shared};
use crate::cgroup::Tree;
use crate::sandbox::{
    self, Ahead, Around, Audit, Finished, Late, MakeReceipt, Purses, Request, StartError, Then,
};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_plan::HostPath;
use sandboxd_profiles::graph::Launch;
use sandboxd_profiles::{Credentials, Invocation, Listening, Manager, Stream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// What is wanted of an instance.
pub(super) struct Wanted {
    /// The broker's number for it.
    pub(super) number: u64,
    pub(super) launch: Launch,
    /// The profile that calls it.
    pub(super) from: String,
    /// Who it is where it calls itself.
    pub(super) caller: Option<Caller>,
    /// Where its cgroup is made; nothing where its caller has none.
    pub(super) within: Option<Arc<Tree>>,
    /// The instance that called it; 0 where that is none.
    pub(super) behalf: u64,
    pub(super) shared: Arc<Shared>,
}

/// An instance that was begun. Letting go of it does not end it; [`Instance::end`] does.
pub(super) struct Instance {
    /// Its end is the instance's.
    tie: Option<OwnedFd>,
    /// The instance that called it; 0 where that is none.
    pub(super) behalf: u64,
    /// The profile that called it, and its own.
    pub(super) caller: String,
    pub(super) callee: String,
    thread: JoinHandle<Vec<String>>,
}

/// What the sandbox of an instance gets of its own.
pub struct Streams {
    /// Its standard input and output.
    pub(crate) socket: OwnedFd,
    /// A pipe whose end is its end.
    pub(crate) orders: OwnedFd,
    /// Who it is where it calls itself.
    pub(crate) caller: Option<Caller>,
}

impl Instance {
    /// Begins to start it, and does not wait.
    ///
    /// # Errors
    /// Where there is no thread or descriptor to be had.
    pub(super) fn begin(wanted: Wanted) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "an instance", errno);
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (orders, tie) = rustix::pipe::pipe_with(flags).map_err(failed("pipe2"))?;
        let flags = SocketFlags::CLOEXEC;
        let (brokers, socket) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(failed("socketpair"))?;
        // A broker does not wait for one of those that it carries between.
        rustix::io::ioctl_fionbio(&brokers, true).map_err(failed("ioctl"))?;
        let (behalf, shared) = (wanted.behalf, Arc::clone(&wanted.shared));
        let (caller, callee) = (wanted.from.clone(), wanted.launch.profile.name().to_owned());
        shared.one_more(behalf);
        let thread = std::thread::Builder::new()
            .name(format!("instance-{}", wanted.number))
            .spawn(move || live(wanted, socket, orders, brokers))
            .map_err(|error| {
                shared.one_less(behalf);
                StartError::io("clone3", "an instance", &error)
            })?;
        Ok(Self { tie: Some(tie), behalf, caller, callee, thread })
    }

    /// Asks for its end.
    pub(super) fn end(&mut self) {
        self.tie = None;
    }

    /// Waits until nothing of it is left, and tells what could not be cleaned up.
    pub(super) fn gone(self) -> Vec<String> {
        drop(self.tie);
        let panicked = "not cleaned up: the thread of an instance panicked";
        self.thread.join().unwrap_or_else(|_| vec![panicked.to_owned()])
    }
}

/// From its start to its end; tells what could not be cleaned up.
fn live(wanted: Wanted, socket: OwnedFd, orders: OwnedFd, brokers: OwnedFd) -> Vec<String> {
    let Wanted { number, launch, from: _, caller, within, behalf, shared } = wanted;
    let mut stream = Some(brokers);
    let mut started = || {
        if let Some(stream) = stream.take() {
            shared.bell.ring(News::Started { instance: number, stream });
        }
    };
    let name = launch.profile.name().to_owned();
    let streams = Streams { socket, orders, caller };
    let audit = shared.audit.of(&launch.profile);
    let (purses, metrics) = (shared.calls.purses.clone(), shared.calls.metrics.clone());
    let told = Arc::clone(&shared);
    let late = Box::new(move |error: &StartError| {
        (told.calls.refused)("what was called", error);
        error.exit_status()
    });
    let of_the_run = (audit, purses, metrics);
    let (refused, left) = match run(&launch, streams, within, of_the_run, (late, &mut started)) {
        Ok(left) => (None, left),
        Err(error) => (Some((name, error)), Vec::new()),
    };
    shared.one_less(behalf);
    shared.bell.ring(News::Over { instance: number, refused });
    left
}

fn run(
    launch: &Launch,
    streams: Streams,
    within: Option<Arc<Tree>>,
    (audit, purses, metrics): (Audit, Purses, Option<HostPath>),
    (late, started): (Late, &mut dyn FnMut()),
) -> Result<Vec<String>, StartError> {
    let since = Instant::now();
    let ahead = Ahead::begin(since, Then::Rest, late)?;
    // It has no terminal, whatever its caller has.
    let invocation = Invocation {
        streams: [Stream::Pipe; 3],
        listening: Listening::default(),
        credentials: Credentials::default(),
        manager: Manager::default(),
        metrics,
        ..sandbox::invocation(&launch.profile)?
    };
    let request = Request {
        profile: &launch.profile,
        under: &launch.under,
        invocation: &invocation,
        since,
        ahead,
        audit,
        digest: false,
        around: Around::Instance(streams),
        within,
        sockets: Vec::new(),
        purses,
    };
    let Finished { left, .. } = sandbox::run(
        request,
        Some(&mut |_: MakeReceipt<'_>| {
            started();
            Ok(())
        }),
    )?;
    Ok(left)
}
