//! What the broker holds in memory for whom. Its owner adds what waits to be written, and says who is to go where it
//! is too much of all together.

use super::{CallId, ConnectionId, InstanceId, Output, Relay};
use crate::refusal::Refusal;
use sandboxd_broker_plan::record::Event;

impl Relay {
    /// Bytes that are held for a connection: of a line that it began, and of its calls that were not passed on yet.
    #[must_use]
    pub fn held_for(&self, id: ConnectionId) -> usize {
        self.connections.get(&id).map_or(0, |it| it.lines.begun().saturating_add(it.held))
    }

    /// Bytes that are held of a line that an instance began.
    #[must_use]
    pub fn held_of(&self, id: InstanceId) -> usize {
        self.instances.get(&id).map_or(0, |it| it.lines.begun())
    }

    /// A call has gone as far as it can by now. Where it waits, what it says is held.
    pub(super) fn weigh(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        // Nothing, where it was passed on.
        call.held = if call.body.is_empty() { 0 } else { call.body.weight() };
        let (held, connection) = (call.held, call.origin.connection());
        if let Some(connection) = connection.and_then(|id| self.connections.get_mut(&id)) {
            connection.held = connection.held.saturating_add(held);
        }
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
            self.stop(
                id,
                &Refusal::BadReply("Too much waits for the callee, or of what it writes."),
            );
        }
    }
}
