//! What is remembered: connections, instances, calls, and what callees asked back.

use super::{CallId, ConnectionId, InstanceId, Load, Output, Relay, behalf::Served};
use crate::{
    frame::Lines,
    json::{Object, Value},
    limit::{Fair, Fuse, Moment},
    mcp::{
        Era,
        catalogue::Catalogue,
        input::Asked,
        list::Listed,
        method::{Asks, Target},
        pins::{self, Pins},
    },
    rpc::Id,
    schema::Schemas,
};
use sandboxd_broker_plan::meant::Meant;
use sandboxd_broker_plan::record::{Event, Method, Record, Rule, Tool, What};
use sandboxd_broker_plan::{Callee, Edge, Instances, Pattern};
use std::collections::{BTreeMap, BTreeSet};

/// Who calls: a caller, by its place in the plan, and the instance that it is, where this broker has started it.
pub(super) type Who = (usize, Option<InstanceId>);

/// So much is told of the tools that were meant over an edge.
const MOST_MEANT: usize = 512;

/// A connection of a caller.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) caller: usize,
    /// Nothing until the first line has named it.
    pub(super) edge: Option<usize>,
    /// The instance that is the caller, where this broker has started it.
    pub(super) behalf: Option<InstanceId>,
    /// Tools beyond which this connection wants none, where it said so.
    pub(super) only: Option<Vec<Pattern>>,
    pub(super) instance: Option<InstanceId>,
    pub(super) lines: Lines,
    pub(super) strikes: u32,
    /// Bytes of memory that its calls take, and how many there are that are not forgotten.
    pub(super) held: usize,
    pub(super) calls: usize,
    pub(super) open: BTreeMap<Id, CallId>,
    /// What its calls were asked back by their results, by the numbers in the words that it got.
    pub(super) rounds: BTreeMap<u64, Round>,
    pub(super) last_round: u64,
}

/// A process of a callee.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) callee: usize,
    pub(super) edge: usize,
    /// The one connection that it is for; nothing where it is for all.
    pub(super) owner: Option<ConnectionId>,
    pub(super) users: BTreeSet<ConnectionId>,
    pub(super) running: bool,
    pub(super) lines: Lines,
    pub(super) stray: u32,
    pub(super) tools: Catalogue,
    pub(super) prompts: Catalogue,
    pub(super) handshake: Handshake,
    pub(super) initialized: bool,
    /// Whom it has served, where it is for all.
    pub(super) served: Served,
    /// Whose secrets it may have been given.
    pub(super) rings: BTreeSet<Who>,
    /// And of which callers, by instances of them that are over.
    pub(super) over: BTreeSet<usize>,
}

/// How far the handshake of an instance for all is: it is made once.
#[derive(Debug)]
pub(super) enum Handshake {
    NotYet,
    /// By this call; the others wait for what becomes of it.
    Asked(CallId),
    /// The result, whole: what of it a caller sees, its edge says.
    Done(Object),
}

/// What is remembered of a callee.
#[derive(Debug)]
pub(super) struct CalleeState {
    /// Its breakers: by its callers where each has processes of its own, else one.
    pub(super) fuses: BTreeMap<Option<Who>, Fuse>,
    pub(super) pins: Pins,
    pub(super) schemas: Schemas,
    pub(super) queue: Fair<usize, CallId>,
    pub(super) in_flight: u64,
    pub(super) shared: Option<InstanceId>,
    /// By which parameters the next process for all is greeted, where one was.
    pub(super) greeting: Option<Object>,
    /// What it was when that was last asked.
    pub(super) told: Load,
}

/// A request, from its line to its answer.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) origin: Origin,
    pub(super) edge: usize,
    pub(super) instance: Option<InstanceId>,
    pub(super) asks: Asks,
    pub(super) era: Era,
    pub(super) method: String,
    pub(super) target: Target,
    pub(super) body: Object,
    /// Bytes of its line.
    pub(super) size: u64,
    /// Bytes of memory that it takes: fewer, once it is passed on.
    pub(super) held: usize,
    /// Over its parameters without `_meta`.
    pub(super) digest: [u8; 32],
    /// The same without answers to what its callee asked back.
    pub(super) first: [u8; 32],
    /// The secrets that stand for placeholders in it, a bit for each of the caller's.
    pub(super) secrets: u64,
    /// What its callee wants back, where it is made again.
    pub(super) again: Option<Asked>,
    /// Callers, by their places in the plan: for each chain of calls that this one is part of, the
    /// first first. The last of each is who calls.
    pub(super) chains: Vec<Vec<usize>>,
    pub(super) stage: Stage,
    /// Whether whoever had to be asked has said yes.
    pub(super) approved: bool,
    pub(super) timer: Option<Moment>,
    pub(super) began: Moment,
    /// When its callee was told of it.
    pub(super) sent: Moment,
    pub(super) deadline: Moment,
    /// Whether that is as late as its edge says, and no earlier for the sake of a call that it is made for.
    pub(super) whole: bool,
    /// Whether it is counted among those in flight.
    pub(super) slot: bool,
    /// Whether the breaker let it through and waits for how it ends.
    pub(super) trial: bool,
    /// When the next progress of it may be passed on.
    pub(super) progress: Moment,
}

impl Call {
    /// One of the broker's own: when it begins, and until when it is waited for.
    pub(super) fn own(
        origin: Origin,
        (edge, era): (usize, Era),
        instance: InstanceId,
        body: Object,
        (began, deadline): (Moment, Moment),
    ) -> Self {
        Self {
            origin,
            edge,
            instance: Some(instance),
            asks: Asks::Upkeep,
            era,
            method: body.str("method").unwrap_or_default().to_owned(),
            target: Target::Whole,
            body,
            size: 0,
            held: 0,
            digest: [0; 32],
            first: [0; 32],
            secrets: 0,
            again: None,
            chains: Vec::new(),
            stage: Stage::Starting,
            approved: false,
            timer: None,
            began,
            sent: began,
            deadline,
            whole: true,
            slot: false,
            trial: false,
            progress: Moment(0),
        }
    }
}

/// Who wants the answer.
#[derive(Debug)]
pub(super) enum Origin {
    /// A caller.
    Caller {
        connection: ConnectionId,
        id: Id,
        /// Under which it wants to hear of progress.
        token: Option<Value>,
    },
    /// A caller that wants no answer.
    Note(ConnectionId),
    /// The broker, for its catalogue.
    Catalogue(Listed),
    /// The broker, for a process that takes another's place.
    Greeting,
}

impl Origin {
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Caller { connection, .. } | Self::Note(connection) => Some(*connection),
            Self::Catalogue(_) | Self::Greeting => None,
        }
    }
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The instance is being started, or shakes hands with another.
    Starting,
    /// The catalogue is being asked.
    Looking,
    /// Somebody is being asked.
    Held([u8; 32]),
    /// It waits for its turn.
    Queued,
    /// Its record is being written.
    Recording,
    /// It is with the callee.
    Sent,
    /// It is answered, but the callee may still be at it.
    Draining,
    /// The same, and it takes no place any more.
    GivenUp,
}

impl Stage {
    /// Whether the callee may be at it.
    pub(super) fn is_with_callee(self) -> bool {
        matches!(self, Self::Sent | Self::Draining | Self::GivenUp)
    }
}

/// What a callee asked back.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) instance: InstanceId,
    /// The callee's own number for it.
    pub(super) id: Id,
    pub(super) connection: ConnectionId,
    pub(super) until: Moment,
}

/// What a callee asked back by the result of a call, until that is made again.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) instance: InstanceId,
    pub(super) method: String,
    /// [`Call::first`].
    pub(super) first: [u8; 32],
    pub(super) chains: Vec<Vec<usize>>,
    pub(super) asked: Asked,
    pub(super) expires: Moment,
    /// Bytes of memory that it takes.
    pub(super) held: usize,
}

/// What waits for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Call(CallId),
    Question(u64),
    /// Of a connection, by its number there.
    Round(ConnectionId, u64),
}

impl Relay {
    /// The edge and its callee, as the plan has them.
    pub(super) fn rules(&self, edge: usize) -> Option<(&Edge, usize, &Callee)> {
        let callee = self.edges.get(edge)?.callee;
        Some((self.plan.edges.get(edge)?, callee, self.plan.callees.get(callee)?))
    }

    pub(super) fn who(&self, connection: ConnectionId) -> Option<Who> {
        let connection = self.connections.get(&connection)?;
        Some((connection.caller, connection.behalf))
    }

    /// The breaker of an edge: where each caller has processes of its own, whatever they do to one is its own too.
    pub(super) fn fuse(&mut self, edge: usize, by: Option<ConnectionId>) -> Option<&mut Fuse> {
        let (_, callee, rules) = self.rules(edge)?;
        let (rule, own) = (rules.breaker, rules.instances == Instances::PerCaller);
        let who = if own { Some(self.who(by?)?) } else { None };
        let fuses = &mut self.callees.get_mut(callee)?.fuses;
        Some(fuses.entry(who).or_insert_with(|| Fuse::new(rule)))
    }

    /// Sets the one timer of a call, or none.
    pub(super) fn set_timer(&mut self, id: CallId, at: Option<Moment>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut call.timer, at) {
            self.timers.remove(&(before, Timer::Call(id)));
        }
        if let Some(at) = at {
            self.timers.insert((at, Timer::Call(id)));
        }
    }

    /// The names of a chain.
    pub(super) fn names(&self, chain: &[usize]) -> impl Iterator<Item = &str> {
        chain.iter().filter_map(|caller| Some(self.plan.callers.get(*caller)?.name.as_str()))
    }

    /// A record about a call.
    pub(super) fn call_record(&self, id: CallId, event: Event) -> Record {
        let call = self.calls.get(&id);
        let connection = call.and_then(|call| call.origin.connection());
        let instance = call.and_then(|call| call.instance);
        Record {
            edge: call.and_then(|call| place(call.edge)),
            connection: connection.map_or(0, |connection| connection.0),
            instance: instance.map_or(0, |instance| instance.0),
            call: id.0,
            event,
        }
    }

    /// A record about an instance.
    pub(super) fn instance_record(&self, id: InstanceId, event: Event) -> Record {
        let instance = self.instances.get(&id);
        let owner = instance.and_then(|instance| instance.owner);
        Record {
            edge: instance.and_then(|instance| place(instance.edge)),
            connection: owner.map_or(0, |connection| connection.0),
            instance: id.0,
            call: 0,
            event,
        }
    }

    /// A record about a connection.
    pub(super) fn connection_record(&self, id: ConnectionId, event: Event) -> Record {
        let connection = self.connections.get(&id);
        let edge = connection.and_then(|connection| connection.edge);
        Record { edge: edge.and_then(place), connection: id.0, instance: 0, call: 0, event }
    }

    /// A call, as records have it.
    pub(super) fn what(&self, id: CallId) -> Option<What> {
        let call = self.calls.get(&id)?;
        let reach = &self.plan.edges.get(call.edge)?.reach;
        let named = call.asks == Asks::Named;
        let method = if named { Method::Named } else { Method::of(&call.method) };
        // Until its parameters were understood, what is meant is only the method.
        let is_meant = named == matches!(call.target, Target::Method(_));
        let name = is_meant.then(|| first(method.names(reach), &call.target));
        let Call { digest, size, secrets, .. } = *call;
        Some(What { method, name: name.flatten(), digest, bytes: size, secrets })
    }

    /// Tells which tool a call meant, where its callee has such a one, and that was not told before.
    pub(super) fn meant(&mut self, id: CallId, refused: Option<Rule>) {
        let Some(call) = self.calls.get(&id) else { return };
        let (Target::Tool(name), Some(place)) = (&call.target, place(call.edge)) else { return };
        let instance = call.instance.and_then(|id| self.instances.get(&id));
        if instance.is_none_or(|instance| !instance.tools.has(name)) {
            return;
        }
        let meant = Meant { edge: place, refused, tool: pins::name(name) };
        let Some(edge) = self.edges.get_mut(call.edge) else { return };
        if edge.meant.len() < MOST_MEANT && edge.meant.insert(meant.clone()) {
            self.out.push(Output::Meant(meant));
        }
    }

    /// A tool, as records have it.
    pub(super) fn tool(&self, id: CallId, name: &str, digest: [u8; 32]) -> Tool {
        let edge = self.calls.get(&id).and_then(|call| self.plan.edges.get(call.edge));
        Tool {
            name: edge.and_then(|edge| first(&edge.reach.tools, &Target::Tool(name.to_owned()))),
            digest,
        }
    }
}

/// The first that has the name.
fn first(patterns: &[Pattern], target: &Target) -> Option<u32> {
    place(patterns.iter().position(|pattern| target.is_of(pattern))?)
}

fn place(place: usize) -> Option<u32> {
    u32::try_from(place).ok()
}
