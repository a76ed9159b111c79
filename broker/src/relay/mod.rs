//! Who waits for whom. [`Relay`] is told what happened ([`Input`]) and when, and says what is to be
//! done ([`Output`]); it does nothing itself.
//!
//! A request of a caller goes from file to file: `intake` (a line becomes a request), `behalf` (for whom it is), `life` (the callee's
//! instance), `shake` (the handshake of one that is for all), `judge` (every rule), `turn` (approval, queue, record, and off it
//! goes), `reply` (its answer), `lists` (where that is one), `done` (its end). `notice` is what a callee says unasked, `rounds` what
//! it asks by an answer, `schemas` what arguments are checked by, `secrets` what stands for placeholders, `revoke` what becomes of an
//! edge that is taken back, `held` what is held of memory, `clock` what happens when nothing else does, and `edges` and `state` what
//! is remembered.

mod asked;
mod behalf;
mod clock;
mod done;
mod edges;
mod held;
mod intake;
mod judge;
mod life;
mod lists;
mod load;
mod notice;
mod reply;
mod revoke;
mod rounds;
mod schemas;
mod secrets;
mod shake;
mod state;
mod turn;

#[cfg(test)]
pub(crate) mod tests;

pub use asked::{Ask, Verdict};
pub use edges::RelayError;
pub use load::Load;

use crate::{
    limit::{Buckets, Fair, Moment, Saved, Tripwire},
    mcp::pins::Pins,
    schema::Schemas,
    swap::{Keyring, Piece},
};
use edges::EdgeState;
use sandboxd_audit::Hidden;
use sandboxd_broker_plan::{BrokerPlan, Name, meant::Meant, record::Record, seen::Seen};
use state::{Call, CalleeState, Connection, Instance, Question, Timer, Who};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A connection of a caller; its owner gives the numbers, and none twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A process of a callee. The broker gives the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u64);

/// A request that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// For which edge a connection is.
#[derive(Debug, Clone, Copy)]
pub enum Endpoint<'i> {
    /// The one with this name.
    Edge(&'i Name),
    /// The caller says so in its first line.
    FirstLine,
}

/// Something happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'i> {
    /// A caller connected; who it is was proved by the kernel.
    Opened {
        /// The connection.
        connection: ConnectionId,
        /// Who it is.
        caller: &'i Name,
        /// For which edge.
        endpoint: Endpoint<'i>,
        /// Where the caller is itself an instance that this broker has started: which.
        behalf: Option<InstanceId>,
    },
    /// A caller wrote.
    FromCaller(ConnectionId, &'i [u8]),
    /// A caller will write no more, but still reads: what it waits for is awaited.
    Finished(ConnectionId),
    /// A caller closed its connection, or is gone.
    Closed(ConnectionId),
    /// All connections of a caller are at their end.
    CallerGone(&'i Name),
    /// An instance that was asked for runs.
    Started(InstanceId),
    /// A callee wrote.
    FromCallee(InstanceId, &'i [u8]),
    /// An instance ended, or could not be started.
    Ended(InstanceId),
    /// Somebody decided about a call that is held.
    Decided {
        /// The call.
        call: CallId,
        /// The digest of what was decided about: another one decides nothing.
        digest: [u8; 32],
        /// What was decided.
        verdict: &'i Verdict,
        /// The owner's number of whoever decided; nothing where nobody could be asked.
        by: Option<u32>,
    },
    /// The record that a durable call waits for is on the disk, or could not be written.
    Recorded {
        /// The call.
        call: CallId,
        /// Whether it is.
        written: bool,
    },
    /// This edge, by its place in the plan, is taken back: nothing is called over it from here on.
    Revoked(usize),
    /// Too much is held for all together, and most for this connection.
    CallerHolds(ConnectionId),
    /// Likewise, and most for this instance, which is for all.
    CalleeHolds(InstanceId),
    /// Time went by.
    Clock,
}

/// Something is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A line for a caller, its end with it.
    ToCaller(ConnectionId, Vec<u8>),
    /// A line for a callee, its end with it.
    ToCallee(InstanceId, Vec<u8>),
    /// The same, with secrets in it.
    Swapped(InstanceId, Vec<Piece>),
    /// An instance is wanted, for this edge (its place in the plan) and this connection.
    Start {
        /// The number it will have.
        instance: InstanceId,
        /// The edge.
        edge: usize,
        /// For whom.
        connection: ConnectionId,
    },
    /// An instance is not needed any more, or misbehaves.
    Stop(InstanceId),
    /// To be written down.
    Record(Record),
    /// To be written down, and [`Input::Recorded`] said when it is on the disk.
    Durable(Record),
    /// What a tool was seen as, to be kept, and what it says in words.
    Seen(Seen, String),
    /// Which tool of its callee's a call meant; said once.
    Meant(Meant),
    /// Somebody is to be asked.
    Ask(Ask),
    /// The answer is not needed any more.
    Withdraw(CallId),
    /// The connection is to be closed, once what was written to it has been read.
    Close(ConnectionId),
    /// This edge is taken back: nothing is called over it any more, and nothing of it is left.
    Revoked(usize),
}

/// The state of all calls.
#[derive(Debug)]
pub struct Relay {
    plan: BrokerPlan,
    edges: Vec<EdgeState>,
    /// The calls that each caller has made.
    spent: Vec<u64>,
    /// Of each process of a caller.
    tripwires: BTreeMap<Who, Tripwire>,
    callees: Vec<CalleeState>,
    buckets: Buckets,
    in_flight: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    instances: BTreeMap<InstanceId, Instance>,
    calls: BTreeMap<CallId, Call>,
    /// What callees asked back, by the number that the caller sees.
    questions: BTreeMap<u64, Question>,
    /// What stands for the placeholders of each caller that has any.
    keyrings: BTreeMap<Who, Keyring>,
    /// Of each caller, what takes out of texts the secrets of those of its instances that are over.
    over: BTreeMap<usize, Vec<Arc<Hidden>>>,
    timers: BTreeSet<(Moment, Timer)>,
    /// Instances that have not answered what was given up.
    late: BTreeSet<InstanceId>,
    /// Instances for all of which no handshake is made any more, though one was begun.
    unshaken: BTreeSet<InstanceId>,
    /// Connections that end with the last answer that they wait for.
    finishing: BTreeSet<ConnectionId>,
    /// Bytes that are held since this was last asked.
    weighed: usize,
    last: u64,
    now: Moment,
    out: Vec<Output>,
}

impl Relay {
    /// A relay that obeys this plan; nobody is connected.
    ///
    /// # Errors
    /// Where the plan has a schema that cannot be checked.
    pub fn new(plan: BrokerPlan, now: Moment) -> Result<Self, RelayError> {
        let edges = (0..plan.edges.len())
            .map(|place| EdgeState::of(&plan, place))
            .collect::<Result<_, _>>()?;
        let share = schemas::share(plan.callees.len());
        let callees = plan.callees.iter().map(|callee| CalleeState {
            fuses: BTreeMap::new(),
            pins: Pins::new(&callee.pinning),
            schemas: Schemas::within(share),
            queue: Fair::new(),
            in_flight: 0,
            shared: None,
            greeting: None,
            told: Load::default(),
        });
        Ok(Self {
            edges,
            spent: vec![0; plan.callers.len()],
            tripwires: BTreeMap::new(),
            callees: callees.collect(),
            buckets: Buckets::new(&plan),
            in_flight: 0,
            connections: BTreeMap::new(),
            instances: BTreeMap::new(),
            calls: BTreeMap::new(),
            questions: BTreeMap::new(),
            keyrings: BTreeMap::new(),
            over: BTreeMap::new(),
            timers: BTreeSet::new(),
            late: BTreeSet::new(),
            unshaken: BTreeSet::new(),
            finishing: BTreeSet::new(),
            weighed: 0,
            last: 0,
            now,
            out: Vec::new(),
            plan,
        })
    }

    /// What follows from an input.
    pub fn step(&mut self, now: Moment, input: Input<'_>) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Opened { connection, caller, endpoint, behalf } => {
                self.open(connection, caller, endpoint, behalf);
            }
            Input::FromCaller(connection, bytes) => self.caller_wrote(connection, bytes),
            Input::Finished(connection) => {
                self.finishing.insert(connection);
            }
            Input::Closed(connection) => self.closed(connection),
            Input::CallerGone(caller) => self.caller_gone(caller),
            Input::Started(instance) => self.started(instance),
            Input::FromCallee(instance, bytes) => self.callee_wrote(instance, bytes),
            Input::Ended(instance) => self.ended(instance),
            Input::Decided { call, digest, verdict, by } => {
                self.decided(call, digest, verdict, by);
            }
            Input::Recorded { call, written } => self.recorded(call, written),
            Input::Revoked(edge) => self.revoke(edge),
            Input::CallerHolds(connection) => self.caller_holds(connection),
            Input::CalleeHolds(instance) => self.callee_holds(instance),
            Input::Clock => {}
        }
        self.tick();
        self.retire();
        self.shake_anew();
        self.finish();
        std::mem::take(&mut self.out)
    }

    /// When [`Input::Clock`] is to be said next, if nothing else happens before.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Moment> {
        self.timers.first().map(|(moment, _)| *moment)
    }

    /// The one connection that an instance is for.
    #[must_use]
    pub fn owner(&self, instance: InstanceId) -> Option<ConnectionId> {
        self.instances.get(&instance)?.owner
    }

    /// The instance that a connection has.
    #[must_use]
    pub fn instance(&self, connection: ConnectionId) -> Option<InstanceId> {
        self.connections.get(&connection)?.instance
    }

    /// Takes up the buckets of the broker before this one.
    pub fn restore(&mut self, saved: &[Saved]) {
        self.buckets.restore(saved, self.now);
    }

    /// The buckets that were charged since this was last asked, by their places in the order of
    /// [`Buckets::keys`].
    pub fn charged(&mut self) -> Vec<(usize, Moment)> {
        self.buckets.charged()
    }

    /// The calls that each caller has made, in the plan's order.
    #[must_use]
    pub fn spent(&self) -> &[u64] {
        &self.spent
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
