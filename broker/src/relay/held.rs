//! What the broker holds in memory for whom. Its owner adds what waits to be written, and says who is to go where it
//! is too much of all together.

use super::{CallId, ConnectionId, InstanceId, Output, Relay, state::Call};
use crate::{mcp::input::Asked, refusal::Refusal};
use sandboxd_broker_plan::record::Event;

/// The most calls of a connection that are not forgotten. Those that wait for their turn have bounds of their own, and
/// so has how often; but until its callee is there a call comes to neither.
pub(super) const OPEN: usize = 1024;

/// What a call takes beside what it says: itself, its id twice, its timer, and its places among others.
const EACH: usize = 2 << 10;

impl Relay {
    /// Bytes that are held for a connection: of a line that it began, of its calls, and of what their callees want back
    /// when they are made again.
    #[must_use]
    pub fn held_for(&self, id: ConnectionId) -> usize {
        self.connections.get(&id).map_or(0, |it| {
            let rounds: usize = it.rounds.values().map(|round| round.held).sum();
            it.lines.begun().saturating_add(it.held).saturating_add(rounds)
        })
    }

    /// Bytes that are held of an instance: of a line that it began, and of the names of what it has.
    #[must_use]
    pub fn held_of(&self, id: InstanceId) -> usize {
        self.instances
            .get(&id)
            .map_or(0, |it| it.lines.begun() + it.tools.weight() + it.prompts.weight())
    }

    /// Who has a connection: its place in the plan, and the instance that it is, where this broker has started it.
    #[must_use]
    pub fn caller(&self, id: ConnectionId) -> Option<(usize, Option<InstanceId>)> {
        self.who(id)
    }

    /// At least so many bytes are held that were not when this was last asked.
    pub fn weighed(&mut self) -> usize {
        std::mem::take(&mut self.weighed)
    }

    /// A connection has one call more; whether that is one that it may have.
    pub(super) fn counts(&mut self, id: ConnectionId) -> bool {
        self.connections.get_mut(&id).is_some_and(|connection| {
            connection.calls += 1;
            connection.calls <= OPEN
        })
    }

    /// One less.
    pub(super) fn counts_no_more(&mut self, caller: Option<ConnectionId>) {
        if let Some(connection) = caller.and_then(|id| self.connections.get_mut(&id)) {
            connection.calls = connection.calls.saturating_sub(1);
        }
    }

    /// A call has gone as far as it can by now. It is held until it is forgotten, and what it says while it waits.
    pub(super) fn weigh(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        // Of one that was passed on, both are nothing.
        let again = call.again.as_ref().map_or(0, Asked::weight);
        call.held = call.kept() + call.body.weight() + again;
        let (held, connection) = (call.held, call.origin.connection());
        self.weighed = self.weighed.saturating_add(held);
        if let Some(connection) = connection.and_then(|id| self.connections.get_mut(&id)) {
            connection.held = connection.held.saturating_add(held);
        }
    }

    /// A call was passed on, and with it what it says.
    pub(super) fn weigh_less(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        // Nothing, where it was passed on as soon as it came.
        let kept = call.held.min(call.kept());
        let gone = std::mem::replace(&mut call.held, kept) - kept;
        let caller = call.origin.connection();
        self.release(caller, gone);
    }

    /// What a call of this connection says is held no more.
    pub(super) fn release(&mut self, caller: Option<ConnectionId>, held: usize) {
        if let Some(connection) = caller.and_then(|id| self.connections.get_mut(&id)) {
            connection.held = connection.held.saturating_sub(held);
        }
    }

    /// For this connection most is held, and it is too much: it is closed.
    pub(super) fn caller_holds(&mut self, id: ConnectionId) {
        if self.connections.contains_key(&id) {
            let record = self.connection_record(id, Event::Overfull);
            self.out.push(Output::Record(record));
            self.closed(id);
            self.out.push(Output::Close(id));
        }
    }

    /// The same of an instance that is for all: it is stopped.
    pub(super) fn callee_holds(&mut self, id: InstanceId) {
        if self.instances.contains_key(&id) {
            let record = self.instance_record(id, Event::Overfull);
            self.out.push(Output::Record(record));
            self.stop(id, &Refusal::BadReply("Too much data waits for the callee, or from it."));
        }
    }
}

impl Call {
    /// Bytes that it takes for as long as it is known: what is passed on is not among them.
    pub(super) fn kept(&self) -> usize {
        let chains = self.chains.iter();
        let chains: usize =
            chains.map(|chain| size_of::<[usize; 6]>() + size_of_val(&**chain)).sum();
        EACH + self.method.len() + self.target.name().len() + chains
    }
}
