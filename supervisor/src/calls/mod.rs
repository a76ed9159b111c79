//! The supervisor's side of calls: it makes the broker, tells it who connected, and starts what is
//! called. It reads no byte that a command wrote.
//!
//! ```text
//!  command ── /run/sandboxd/broker.sock ──▶ endpoint: who is it? ──▶ broker (a service)
//!                                                                      │ "start edge 2 for connection 5"
//!  instance ◀── a sandbox of its own, under what the edge gives ◀── desk: does the graph say so?
//! ```
//!
//! Read in this order: [`endpoint`] (who connects), [`desk`] (what the broker may ask), [`instance`]
//! (what is started), [`hold`] (what is kept ready), [`records`] and [`durable`] (what is written down), [`tally`] (what whoever
//! asks later is told), [`handed`] (what a broker has at its begin), [`client`] (the same for `sandboxd mcp`, whose caller
//! is no sandbox), then `service::channel` (what is said between the two).

mod client;
mod described;
mod desk;
mod durable;
mod endpoint;
mod handed;
mod hold;
mod instance;
mod keeper;
mod most;
mod records;
mod tally;

use crate::cgroup::Tree;
use crate::control::revocation::Revocations;
use crate::control::{Approvers, Control};
use crate::lasting::Limits;
use crate::sandbox::{self, Audit, Purses, StartError, image};
use crate::service::channel::Told;
use crate::service::gathered::Gathered;
use crate::service::{Service, Wanted, broker};
use desk::{Bell, Desk, Edges, News};
use endpoint::Peer;
use most::{EACH, EGRESS, Most};
use records::Knock;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_broker_plan::{Approval, BrokerPlan};
use sandboxd_plan::HostPath;
use sandboxd_profiles::graph::Standing;
use sandboxd_profiles::{Graph, Profile};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use client::Client;
pub(crate) use endpoint::Endpoint;
pub(crate) use handed::{encoded, kept, told_limits, waits_for_nothing};
pub(crate) use hold::Hold;
pub(crate) use instance::{Streams, Whose, invocation};
pub(crate) use records::Records;
pub(crate) use tally::{Called, RefusedCall, Tally};

/// How long the broker may take to end once nobody is there.
const DRAIN: Duration = Duration::from_secs(2);

/// How long what a caller has called may take to be gone: to end when asked to, or be killed, and what is
/// cleaned up after it.
const LEAVE: Duration = Duration::from_secs(12);

/// What every run whose command calls has of it.
#[derive(Clone)]
pub(crate) struct Caller {
    shared: Arc<Shared>,
    standing: Standing,
    /// The broker's number for who calls, and for the instance that it is; 0 where it is none.
    place: u64,
    behalf: u64,
    /// Where the cgroups are made of what it calls: in its own. Nothing where it has none.
    room: Option<Arc<Tree>>,
    /// Its sandbox's id.
    sandbox: String,
}

/// Tells of what does not run, by its name, and why.
pub(crate) type Refused = Box<dyn Fn(&str, &StartError) + Send + Sync>;

/// Tells how many calls wait for somebody to approve them.
pub(crate) type Waits = Box<dyn Fn(u64) + Send + Sync>;

/// Told when a server had listed tools that were not known, or are not what they were.
pub(crate) type Listed = Box<dyn Fn() + Send + Sync>;

/// Whom the command of a run calls, and how.
pub struct Calls {
    /// What its profile calls, and what that calls.
    pub graph: Graph,
    /// What the run is under, the outermost first: nothing that it calls goes beyond that either.
    pub under: Vec<Profile>,
    /// What all of them use up together.
    pub purses: Purses,
    /// Where the run tells its numbers and writes its receipt, which nothing that is called may write either.
    pub metrics: Option<HostPath>,
    pub receipt: Option<HostPath>,
    /// Told of what was called and could not be started: whoever called only sees that it does not answer.
    pub refused: Refused,
    /// Told whenever another number of calls waits for approval.
    pub waits: Waits,
}

/// What endpoints and desk know together.
struct Shared {
    /// To the broker.
    line: OwnedFd,
    calls: Calls,
    /// Where the cgroups are made of what is for several callers: in that of the run.
    room: Option<Arc<Tree>>,
    /// Where it is written down what is started.
    audit: Audit,
    most: Most,
    /// Names of the plan's callers.
    callers: Vec<String>,
    last: AtomicU64,
    connections: Mutex<BTreeMap<u64, Connection>>,
    /// How many instances live that each caller has called, by its instance.
    called: Mutex<BTreeMap<u64, usize>>,
    fewer: Condvar,
    /// To the desk.
    bell: Bell,
}

/// Who is at the other end of a connection, as the kernel proved it.
#[derive(Clone)]
struct Connection {
    standing: Standing,
    behalf: u64,
    room: Option<Arc<Tree>>,
    /// The id of the sandbox.
    sandbox: String,
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        // Whoever panics ends this process.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever stands there in the graph, where it calls at all.
    fn caller(self: &Arc<Self>, standing: Standing, behalf: u64) -> Option<Caller> {
        let name = self.calls.graph.name(&standing);
        let place = self.callers.iter().position(|caller| caller == name)?;
        let place = u64::try_from(place).ok()?;
        let shared = Arc::clone(self);
        Some(Caller { shared, standing, place, behalf, room: None, sandbox: String::new() })
    }

    fn called(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One instance more, for this caller.
    fn one_more(&self, behalf: u64) {
        *self.called().entry(behalf).or_default() += 1;
    }

    /// One less, of which nothing is left.
    fn one_less(&self, behalf: u64) {
        let mut called = self.called();
        match called.get_mut(&behalf) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(called.remove(&behalf)),
        }
        self.fewer.notify_all();
    }
}

impl Caller {
    /// The same, in the sandbox with this id, with a cgroup for what it calls.
    pub(crate) fn within(self, sandbox: &str, room: Option<Arc<Tree>>) -> Self {
        Self { room, sandbox: sandbox.to_owned(), ..self }
    }

    /// Has what stands for its placeholders come to the broker by this socket.
    ///
    /// # Errors
    /// Where the broker is gone, or does not read.
    pub(crate) fn secrets_come_by(&self, socket: &OwnedFd) -> rustix::io::Result<()> {
        let told = Told::Secrets { caller: self.place, behalf: self.behalf };
        told.say_within(self.shared.line.as_fd(), &[socket.as_fd()], desk::PATIENCE)
    }

    /// Its command runs: from now on there may be something ready for it.
    fn runs(&self) {
        self.shared.bell.ring(News::Runs(self.connection()));
    }

    /// Who is at the other end of each of its connections.
    fn connection(&self) -> Connection {
        Connection {
            standing: self.standing.clone(),
            behalf: self.behalf,
            room: self.room.clone(),
            sandbox: self.sandbox.clone(),
        }
    }

    /// It is over: ends what it has called, and waits until nothing of that is left, because it lies in
    /// the cgroup that is removed next.
    fn leave(&self) {
        // What the first of all has called ends with the desk.
        if self.behalf == 0 {
            return;
        }
        self.shared.bell.ring(News::Left(self.behalf));
        let live = |called: &mut BTreeMap<u64, usize>| called.contains_key(&self.behalf);
        // Whatever outlives that is told by whoever cannot remove the cgroup.
        drop(self.shared.fewer.wait_timeout_while(self.shared.called(), LEAVE, live));
    }

    /// Has it written down that somebody connected, and how that went.
    fn knocked(&self, connection: u64, peer: Option<Peer>, refused: Option<&'static str>) {
        let caller = self.shared.calls.graph.name(&self.standing).to_owned();
        let sandbox = self.sandbox.clone();
        self.shared.bell.ring(News::Knocked(Knock { caller, sandbox, connection, peer, refused }));
    }

    /// Tells the broker of a connection, whose other end the caller was proved to have.
    ///
    /// # Errors
    /// Where there are too many, or the broker is gone or does not read; then there is no such connection.
    fn connected(&self, stream: &OwnedFd, peer: Peer) -> rustix::io::Result<()> {
        let connection = self.shared.last.fetch_add(1, Ordering::Relaxed) + 1;
        let known = self.connection();
        {
            let mut connections = self.shared.connections();
            if connections.len() >= self.shared.most.connections {
                self.knocked(0, Some(peer), Some("connections"));
                return Err(Errno::MFILE);
            }
            connections.insert(connection, known);
        }
        // Before anything that is told of it.
        self.knocked(connection, Some(peer), None);
        let opened = Told::Opened { connection, caller: self.place, behalf: self.behalf };
        opened.say(self.shared.line.as_fd(), &[stream.as_fd()]).inspect_err(|_| {
            self.shared.connections().remove(&connection);
            self.knocked(0, None, Some("busy"));
        })
    }
}

/// The broker of a run, and all that it had started.
pub(crate) struct Exchange {
    service: Service,
    desk: Desk,
    /// Where calls are approved; nothing where no edge asks.
    control: Option<Control>,
    /// Where edges are taken back.
    revocations: Option<Revocations>,
    /// What came of all calls.
    tally: Tally,
    /// Closed once the broker has ended.
    _limits: Option<Limits>,
}

impl Exchange {
    /// Begins to start the broker for the run of this id, and says who its command is to it.
    ///
    /// # Errors
    /// Where its streams cannot be made, or the graph is more than a broker is told; where this process
    /// may open too few files for anything to be called; where there is no place for whoever takes an
    /// edge back, or answers where one asks.
    pub(crate) fn begin(
        calls: Calls,
        run: &Profile,
        id: &str,
        room: Option<Arc<Tree>>,
        audit: &Audit,
    ) -> Result<(Self, Caller), StartError> {
        let each = if calls.graph.goes_out() { EACH + EGRESS } else { EACH };
        let mut plan = calls.graph.plan(run.name())?;
        let secrets = plan.edges.iter().any(|edge| !edge.placeholders.is_empty());
        let most = Most::of(sandbox::descriptors(), each, secrets)?;
        let pins = kept(audit, &mut plan, |name| calls.graph.serving(name))?;
        let approvers = Approvers::default();
        let records = Records::new(audit.clone(), &plan, approvers.clone());
        let tally = records.tally();
        let edges = Edges::new(id, run.name(), &plan, calls.graph.expires())?;
        waits_for_nothing(&plan, audit)?;
        let limits = audit.is_kept().then(|| Limits::open(run.name(), &plan)).transpose()?;
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (line, brokers) = socketpair(AddressFamily::UNIX, kind, flags, None)
            .map_err(|errno| StartError::call("socketpair", "the broker's channel", errno))?;
        let (gathered, gathers) = Gathered::new()
            .map_err(|errno| StartError::call("pipe2", "the broker's records", errno))?;
        told_limits(limits.as_ref(), &line)?;
        let service = Service::begin(Wanted {
            name: broker::NAME,
            arguments: Vec::new(),
            run: run.clone(),
            audit: audit.clone(),
            streams: [image::plan(&encoded(&plan)?)?, gathers, brokers],
        })?;
        let (bell, news) = Bell::new()?;
        let shared = Arc::new(Shared {
            line,
            callers: plan.callers.iter().map(|caller| caller.name.to_string()).collect(),
            last: AtomicU64::new(0),
            connections: Mutex::default(),
            called: Mutex::default(),
            fewer: Condvar::new(),
            bell,
            calls,
            room,
            audit: audit.clone(),
            most,
        });
        let first = shared.calls.graph.first();
        let caller = shared
            .caller(first, 0)
            .ok_or_else(|| StartError::found("graph", "the profile that is run calls nobody"))?;
        let asks = plan.edges.iter().any(|edge| edge.approval != Approval::Never);
        let control = asks.then(|| Control::open(id, &shared.line, approvers)).transpose()?;
        let revocations = Some(revocations(id, &plan, &shared.bell)?);
        let desk = Desk::open(shared, (records, gathered, edges), pins, news)?;
        Ok((Self { service, desk, control, revocations, tally, _limits: limits }, caller))
    }

    /// Waits until the broker runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn started(&mut self) -> Result<(), StartError> {
        self.service.started()
    }

    /// Returns once, when the broker has ended: the command does not go on without it.
    pub(crate) async fn over(&mut self) {
        self.service.over().await;
    }

    /// What came of all calls: once it is finished, all of it.
    pub(crate) fn called(&self) -> Vec<Called> {
        self.tally.so_far()
    }

    /// Ends all that was started and the broker, and tells what could not be cleaned up.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        let mut left = self.control.take().map(Control::finish).unwrap_or_default();
        left.extend(self.revocations.take().into_iter().flat_map(Revocations::finish));
        left.extend(self.desk.close());
        left.extend(self.service.finish(DRAIN));
        left
    }
}

/// Listens for whoever takes an edge back, and has the desk do it.
fn revocations(id: &str, plan: &BrokerPlan, bell: &Bell) -> Result<Revocations, StartError> {
    let bell = bell.clone();
    let revoke = move |edge, by, stream| bell.ring(News::Revoke { edge, by, stream });
    Revocations::open(id, plan, Box::new(revoke))
}
