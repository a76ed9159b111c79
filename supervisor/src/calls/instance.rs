//! A process that is called: a run like any other, in a thread of its own, under what the edge gives,
//! with a socket to the broker for its standard input and output.

use super::Caller;
use crate::sandbox::{self, Ahead, Around, Request, StartError, Then};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_profiles::graph::Launch;
use sandboxd_profiles::{Credentials, Invocation, Listening, Stream};
use std::thread::JoinHandle;
use std::time::Instant;

/// What becomes of an instance.
pub(super) enum News {
    /// Every layer is on; it is let go.
    Started {
        /// Which.
        instance: u64,
        /// The broker's end of its stream.
        stream: OwnedFd,
    },
    /// It is over, or does not run.
    Over {
        /// Which.
        instance: u64,
        /// Why it did not run, where it did not.
        refused: Option<String>,
    },
}

/// Where the thread says so.
pub(super) type Tell = Box<dyn Fn(News) + Send>;

/// An instance that was begun. Letting go of it does not end it; [`Instance::end`] does.
pub(super) struct Instance {
    /// Its end is the instance's.
    tie: Option<OwnedFd>,
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
    pub(super) fn begin(
        number: u64,
        launch: Launch,
        caller: Option<Caller>,
        tell: Tell,
    ) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "an instance", errno);
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (orders, tie) = rustix::pipe::pipe_with(flags).map_err(failed("pipe2"))?;
        let flags = SocketFlags::CLOEXEC;
        let (brokers, socket) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(failed("socketpair"))?;
        // A broker does not wait for one of those that it carries between.
        rustix::io::ioctl_fionbio(&brokers, true).map_err(failed("ioctl"))?;
        let streams = Streams { socket, orders, caller };
        let thread = std::thread::Builder::new()
            .name(format!("instance-{number}"))
            .spawn(move || {
                let mut stream = Some(brokers);
                let mut started = || {
                    let stream = stream.take();
                    stream.into_iter().for_each(|stream| {
                        tell(News::Started { instance: number, stream });
                    });
                };
                let name = launch.profile.name().to_owned();
                let (refused, left) = match run(&launch, streams, &mut started) {
                    Ok(left) => (None, left),
                    Err(error) => (Some(format!("{name}: {}", error.line())), Vec::new()),
                };
                tell(News::Over { instance: number, refused });
                left
            })
            .map_err(|error| StartError::io("clone3", "an instance", &error))?;
        Ok(Self { tie: Some(tie), thread })
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

fn run(
    launch: &Launch,
    streams: Streams,
    started: &mut dyn FnMut(),
) -> Result<Vec<String>, StartError> {
    let since = Instant::now();
    let ahead = Ahead::begin(since, Then::Rest, Box::new(|error| error.exit_status()))?;
    // It has no terminal, whatever its caller has.
    let invocation = Invocation {
        streams: [Stream::Pipe; 3],
        listening: Listening::default(),
        credentials: Credentials::default(),
        ..sandbox::invocation(&launch.profile)?
    };
    let request = Request {
        profile: &launch.profile,
        under: &launch.under,
        invocation: &invocation,
        since,
        ahead,
        digest: false,
        around: Around::Instance(streams),
        sockets: Vec::new(),
    };
    let finished = sandbox::run(
        request,
        Some(&mut |_: &str| {
            started();
            Ok(())
        }),
    )?;
    Ok(finished.left)
}
