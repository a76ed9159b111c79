//! The service `broker`, as `sandboxd mcp` starts it: the client is at standard input and output, the
//! server at a socket that is standard error. What it may carry stands in the plan on its command line.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use sandboxd_broker::io::{Carrier, Owner, Pair, Said, now};
use sandboxd_broker::relay::{CallId, ConnectionId, Output, Relay};
use sandboxd_broker_plan::{Name, wire};
use sandboxd_kernel::fds::take;
use std::collections::VecDeque;
use std::io;

pub(crate) const NAME: &str = "broker";

/// Carries until the client or the server is gone.
///
/// # Errors
/// Where the plan is none, or a stream breaks.
pub(crate) fn serve(plan: &str) -> io::Result<()> {
    let plan =
        wire::decode(plan.as_bytes()).map_err(|error| io::Error::other(error.to_string()))?;
    let [edge] = plan.edges.as_slice() else {
        return Err(io::Error::other("a client has one edge"));
    };
    let (caller, edge) = (edge.caller.clone(), edge.name.clone());
    let mut outside = Outside::new(caller, edge)?;
    let relay = Relay::new(plan, now()?).map_err(|error| io::Error::other(format!("{error:?}")))?;
    Carrier::new(relay).run(&mut outside)
}

/// One client and one server, both there from the start.
struct Outside {
    caller: Name,
    /// The server's stream, until the relay wants it.
    server: Option<OwnedFd>,
    said: VecDeque<Said>,
    /// Readable while there is something in `said`.
    wake: OwnedFd,
}

impl Outside {
    fn new(caller: Name, edge: Name) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (input, output, server) = (take(0)?, take(1)?, take(2)?);
        let mut outside =
            Self { caller: caller.clone(), server: Some(server), said: VecDeque::new(), wake };
        outside.say(Said::Opened {
            connection: ConnectionId(0),
            caller,
            edge: Some(edge),
            behalf: None,
            pair: Pair::Two { input, output },
        })?;
        Ok(outside)
    }

    fn say(&mut self, said: Said) -> io::Result<()> {
        self.said.push_back(said);
        rustix::io::write(&self.wake, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

impl Owner for Outside {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    fn hear(&mut self) -> io::Result<Option<Said>> {
        let said = self.said.pop_front();
        if said.is_none() {
            match rustix::io::read(&self.wake, &mut [0; 8]) {
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(said)
    }

    fn tell(&mut self, output: Output) -> io::Result<()> {
        match output {
            Output::Start { instance, .. } => {
                let said = match self.server.take() {
                    Some(server) => Said::Started { instance, pair: Pair::One(server) },
                    // There is one server, and it is gone.
                    None => Said::Ended(instance),
                };
                self.say(said)
            }
            // Without its server a client has nobody to talk to.
            Output::Stop(_) => self.say(Said::CallerGone(self.caller.clone())),
            Output::Close(_) => self.say(Said::Gone),
            // Nobody writes records down here: a call that waits for one is not made.
            Output::Durable(record) => {
                self.say(Said::Recorded { call: CallId(record.call), written: false })
            }
            // Nobody is there to be asked.
            Output::Ask(ask) => {
                self.say(Said::Decided { call: ask.call, digest: ask.digest, approved: false })
            }
            Output::Record(_)
            | Output::Withdraw(_)
            | Output::ToCaller(..)
            | Output::ToCallee(..) => Ok(()),
        }
    }
}
