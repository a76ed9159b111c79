//! The ways out: answered, refused, cancelled, too late. Each call takes one of them, once, and gives
//! back what it held.

use super::{
    CallId, ConnectionId, InstanceId, Output, Relay,
    state::{Call, Connection, Origin, Stage},
};
use crate::{
    json::{Object, Value},
    mcp::method::{Asks, Target},
    refusal::{Refusal, response},
};
use sandboxd_broker_plan::record::{Event, Outcome, Record, Rule};
use sandboxd_broker_plan::{Instances, Millis, Speaks};
use std::collections::BTreeMap;

/// How long a process for several may go without an answer to what was given up, while others wait for theirs; and for
/// so many of those at most. Of one caller only a few count, after which it calls that process no more until there is an
/// answer: else it would end by itself what all others wait for.
const PATIENCE: Millis = Millis(60_000);
const MOST_LATE: usize = 16;
const MOST_OF_ONE: usize = 4;

impl Relay {
    /// Answers a caller, and forgets the call.
    pub(super) fn answer(&mut self, id: CallId, key: &str, value: Value) {
        if let Some(call) = self.calls.get(&id)
            && let Origin::Caller { connection, id: answer, .. } = &call.origin
        {
            let (connection, answer) = (*connection, answer.clone());
            self.tell_caller(connection, &response(answer, key, value));
        }
        self.forget(id);
    }

    /// Answers a caller that it does not get what it asked for.
    pub(super) fn refuse(&mut self, id: CallId, refusal: Refusal) {
        let Some(call) = self.calls.get(&id) else { return };
        if matches!(call.stage, Stage::Draining | Stage::GivenUp) {
            return self.forget(id);
        }
        let sent = call.stage == Stage::Sent;
        let by = call.origin.connection();
        match &call.origin {
            Origin::Catalogue(listed) => {
                let (listed, instance) = (*listed, call.instance);
                self.forget(id);
                return self.catalogue_failed(instance, listed, &refusal);
            }
            Origin::Caller { connection, id: answer, .. } => {
                let (connection, message) =
                    (*connection, refusal.answer(answer.clone(), call.asks, call.era));
                self.tell_caller(connection, &message);
            }
            Origin::Greeting => return self.forget(id),
            Origin::Note(_) => {}
        }
        if matches!(self.calls.get(&id).map(|call| call.stage), Some(Stage::Held(_))) {
            self.out.push(Output::Withdraw(id));
        }
        if sent {
            let outcome = Outcome::By(refusal.rule());
            return self.finished(id, outcome, 0, !refusal.blames_callee());
        }
        let Some(record) = self.refused(id, refusal.rule()) else { return };
        self.out.push(Output::Record(record));
        self.meant(id, Some(refusal.rule()));
        self.forget(id);
        if let Some(by) = by.filter(|_| refusal.is_denial()) {
            self.denied(by, record);
        }
    }

    fn refused(&self, id: CallId, rule: Rule) -> Option<Record> {
        Some(self.call_record(id, Event::Refused(self.what(id)?, rule)))
    }

    /// A call that was passed on is at its end.
    pub(super) fn finished(&mut self, id: CallId, outcome: Outcome, bytes: u64, worked: bool) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let millis = self.now.since(call.began).0;
        let trial = std::mem::replace(&mut call.trial, false);
        let (edge, by, now) = (call.edge, call.origin.connection(), self.now);
        let record = self.call_record(id, Event::Finished { outcome, bytes, millis });
        self.out.push(Output::Record(record));
        if trial && self.fuse(edge, by).is_some_and(|fuse| fuse.ended(worked, now)) {
            let record = self.call_record(id, Event::BreakerOpened);
            self.out.push(Output::Record(record));
        }
        self.forget(id);
    }

    /// The answer is not wanted any more. The callee is told, and keeps its place for a while.
    pub(super) fn cancel(&mut self, id: CallId, reason: &str) {
        let Some(call) = self.calls.get(&id) else { return };
        match call.stage {
            Stage::Sent => {
                self.tell_cancelled(id, reason);
                self.drain(id, Rule::Cancelled, false);
            }
            Stage::Draining | Stage::GivenUp => {}
            Stage::Starting
            | Stage::Looking
            | Stage::Queued
            | Stage::Recording
            | Stage::Held(_) => {
                if matches!(call.stage, Stage::Held(_)) {
                    self.out.push(Output::Withdraw(id));
                }
                self.out.extend(self.refused(id, Rule::Cancelled).map(Output::Record));
                self.forget(id);
            }
        }
    }

    pub(super) fn tell_cancelled(&mut self, id: CallId, reason: &str) {
        let Some(call) = self.calls.get(&id) else { return };
        let speaks = self.rules(call.edge).map(|(_, _, callee)| callee.speaks);
        let Some(instance) = call.instance.filter(|_| speaks == Some(Speaks::Mcp)) else { return };
        // A handshake is not to be cancelled, says its specification.
        if call.asks == Asks::Handshake {
            return;
        }
        let params = [("requestId", id.0.into()), ("reason", reason.into())];
        let told = [
            ("jsonrpc", "2.0".into()),
            ("method", "notifications/cancelled".into()),
            ("params", params.into()),
        ];
        self.tell_callee(instance, &told.into());
    }

    /// The call is over for its caller, but not yet for its callee; whether that failed. Where not, nothing is known.
    pub(super) fn drain(&mut self, id: CallId, rule: Rule, failed: bool) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let millis = self.now.since(call.began).0;
        let trial = std::mem::replace(&mut call.trial, false);
        call.stage = Stage::Draining;
        close_id(&mut self.connections, &call.origin, id);
        let (edge, by, now) = (call.edge, call.origin.connection(), self.now);
        let record =
            self.call_record(id, Event::Finished { outcome: Outcome::By(rule), bytes: 0, millis });
        self.out.push(Output::Record(record));
        let grace = self.rules(edge).map(|(_, _, callee)| callee.grace);
        let fuse = if trial { self.fuse(edge, by) } else { None };
        let opened = fuse.is_some_and(|fuse| {
            if !failed {
                fuse.withdraw(now);
            }
            failed && fuse.ended(false, now)
        });
        if opened {
            let record = self.call_record(id, Event::BreakerOpened);
            self.out.push(Output::Record(record));
        }
        self.set_timer(id, grace.map(|grace| self.now.after(grace)));
    }

    /// Knows a call no more, and lets the next go on.
    pub(super) fn forget(&mut self, id: CallId) {
        self.set_timer(id, None);
        let Some(call) = self.calls.remove(&id) else { return };
        self.not_shaken(id, call.instance);
        self.release(call.origin.connection(), call.held);
        self.counts_no_more(call.origin.connection());
        close_id(&mut self.connections, &call.origin, id);
        let Some(callee) = self.edges.get(call.edge).map(|edge| edge.callee) else { return };
        let now = self.now;
        if call.trial
            && let Some(fuse) = self.fuse(call.edge, call.origin.connection())
        {
            fuse.withdraw(now);
        }
        if call.stage == Stage::Queued {
            if let Some(state) = self.callees.get_mut(callee) {
                state.queue.remove(id);
            }
            if let Some(state) = self.edges.get_mut(call.edge) {
                state.queued = state.queued.saturating_sub(1);
            }
        }
        if call.slot {
            self.vacate(call.edge);
        }
    }

    /// A call over this edge takes its place no more; the next may have it.
    fn vacate(&mut self, edge: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(state) = self.edges.get_mut(edge) {
            state.in_flight = state.in_flight.saturating_sub(1);
            let callee = self.callees.get_mut(state.callee);
            callee.into_iter().for_each(|it| it.in_flight = it.in_flight.saturating_sub(1));
        }
        for callee in 0..self.callees.len() {
            self.pump(callee);
        }
    }

    /// Its grace is over and its callee has not answered. A process that serves several may still be at it on
    /// behalf of this one, so that is kept. A subscription that has ended is nothing to be at. A handshake is for
    /// whoever makes the next, and counts as a notification does.
    pub(super) fn give_up(&mut self, id: CallId) {
        self.set_timer(id, None);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let callee = self.edges.get(call.edge).and_then(|it| self.plan.callees.get(it.callee));
        let several = matches!(
            callee.map(|callee| &callee.instances),
            Some(Instances::Serial | Instances::Attenuate)
        );
        let is_handshake = call.asks == Asks::Handshake;
        let is_work = !is_handshake && call.asks != Asks::Listen;
        match call.instance.filter(|_| several && is_work) {
            Some(instance) => {
                call.stage = Stage::GivenUp;
                // Only for whom it is still counts.
                call.method = String::new();
                (call.target, call.body) = (Target::Whole, Object::default());
                if let Origin::Caller { token, .. } = &mut call.origin {
                    *token = None;
                }
                self.late.insert(instance);
                let until = self.now.after(PATIENCE);
                self.set_timer(id, Some(until));
            }
            None => {
                if several && is_handshake {
                    self.counts_as_noted(id);
                }
                self.forget(id);
            }
        }
    }

    /// Stops instances that are late with what was given up, as soon as nobody waits for anything else of theirs, or it
    /// takes too long, or is too much. Until then what they call is on behalf of those too.
    pub(super) fn retire(&mut self) {
        let all: Vec<InstanceId> = self.late.iter().copied().collect();
        for id in all {
            let late = self.waiting(id, Stage::GivenUp);
            if late.is_empty() {
                self.late.remove(&id);
                continue;
            }
            if self.is_too_late(&late) || !self.is_awaited(id) {
                self.late.remove(&id);
                self.stop(id, &Refusal::Gone);
                continue;
            }
            for call in late {
                if let Some(call) = self.calls.get_mut(&call)
                    && std::mem::take(&mut call.slot)
                {
                    let edge = call.edge;
                    self.vacate(edge);
                }
            }
        }
    }

    /// Whether an instance is late with so much that was given up that it is not waited for.
    fn is_too_late(&self, late: &[CallId]) -> bool {
        let mut of_each = BTreeMap::new();
        for call in late.iter().filter_map(|call| self.calls.get(call)) {
            let of_one: &mut usize = of_each.entry(self.makes(call)).or_default();
            *of_one = MOST_OF_ONE.min(*of_one + 1);
        }
        of_each.into_values().sum::<usize>() > MOST_LATE
    }

    /// Whether the instance that a call is for is late with as much of the same caller as it may be.
    pub(super) fn gave_up_much(&self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let Some(instance) = call.instance.filter(|it| self.late.contains(it)) else {
            return false;
        };
        let late = self.waiting(instance, Stage::GivenUp).into_iter();
        let late = late.filter_map(|late| self.calls.get(&late));
        late.filter(|late| self.makes(late) == self.makes(call)).count() >= MOST_OF_ONE
    }

    /// The caller that makes a call, whichever of its processes that is: one that begins anew owes no less.
    fn makes(&self, call: &Call) -> Option<usize> {
        self.edges.get(call.edge).map(|edge| edge.caller)
    }

    /// Whether somebody waits for an answer of an instance that is late. Of one that has a single call at a time the
    /// next has no use for it: it could be asked what is meant for the one before.
    fn is_awaited(&self, id: InstanceId) -> bool {
        let callee = self.instances.get(&id).and_then(|it| self.plan.callees.get(it.callee));
        let serial = callee.is_some_and(|callee| callee.instances == Instances::Serial);
        let here = self.calls.values().filter(|call| call.instance == Some(id));
        here.filter(|call| call.stage != Stage::GivenUp && call.asks != Asks::Listen)
            .any(|call| call.slot || !serial)
    }
}

/// The id of a request may be used again.
fn close_id(connections: &mut BTreeMap<ConnectionId, Connection>, origin: &Origin, call: CallId) {
    if let Origin::Caller { connection, id, .. } = origin
        && let Some(connection) = connections.get_mut(connection)
        && connection.open.get(id) == Some(&call)
    {
        connection.open.remove(id);
    }
}
