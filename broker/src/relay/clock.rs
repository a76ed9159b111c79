//! What happens when nothing else does.

use super::{
    CallId, Relay,
    state::{Origin, Stage, Timer},
};
use crate::{limit::Wait, refusal::Refusal};
use sandboxd_broker_plan::{Instances, Millis, Speaks, record::Rule};

/// After so long whoever called hears that its call still waits for somebody. Clients of MCP give up after a minute or
/// so of silence, the sooner ones after half of one.
const HEARS: Millis = Millis(10_000);

impl Relay {
    /// Everything whose time has come.
    pub(super) fn tick(&mut self) {
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= self.now
        {
            self.timers.pop_first();
            match timer {
                Timer::Question(number) => self.unanswered(number),
                Timer::Round(connection, number) => drop(self.take_up(connection, number)),
                Timer::Call(id) => self.late(id),
            }
        }
    }

    fn late(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.timer = None;
        match call.stage {
            Stage::Queued => self.refuse(id, Refusal::Busy(Wait::Seconds(1))),
            Stage::Held(_) if self.now < call.deadline => {
                self.tell_it_waits(id);
                self.hold_on(id);
            }
            Stage::Held(_) => {
                let why = String::from("nobody answered in time");
                self.refuse(id, Refusal::NotApproved(why));
            }
            Stage::Recording => self.refuse(id, Refusal::NotRecorded),
            Stage::Starting | Stage::Looking => self.refuse(id, Refusal::Deadline),
            Stage::Draining => self.give_up(id),
            Stage::GivenUp => {
                if let Some(instance) = call.instance {
                    self.stop(instance, &Refusal::Gone);
                }
            }
            Stage::Sent => self.overdue(id),
        }
    }

    /// A call waits for somebody's answer, until its deadline; and where its caller asked to hear of progress, until it
    /// is to hear of that.
    pub(super) fn hold_on(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let hears = matches!(call.origin, Origin::Caller { token: Some(_), .. })
            && self.rules(call.edge).is_some_and(|(_, _, callee)| callee.speaks == Speaks::Mcp);
        let next = self.now.after(HEARS).min(call.deadline);
        self.set_timer(id, Some(if hears { next } else { call.deadline }));
    }

    /// No answer in time: the caller gets one from us, the callee is told that none is wanted.
    fn overdue(&mut self, id: CallId) {
        self.tell_cancelled(id, "no answer came in time");
        self.say_refusal(id, &Refusal::Deadline);
        let ours = self.calls.get(&id).is_some_and(|call| call.origin.connection().is_none());
        if ours {
            self.refuse(id, Refusal::Deadline)
        } else {
            self.drain(id, Rule::Deadline, self.had_its_time(id))
        }
    }

    /// Whether a callee had as long for a call as it has for anybody, or nearly so: that it needs more than one of its callers
    /// gives it is no failure to the others.
    fn had_its_time(&self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return true };
        let Some((rules, place, callee)) = self.rules(call.edge) else { return true };
        let edges = self.edges.iter().zip(&self.plan.edges);
        let edges = edges.filter(|(it, _)| it.callee == place && !it.revoked);
        let longest = edges.map(|(_, edge)| edge.deadline).max() == Some(rules.deadline);
        // What it waited for its turn, or for the disk, was not its own.
        let most_of_it = call.sent.after(Millis(rules.deadline.0 / 2));
        callee.instances == Instances::PerCaller
            || (longest && call.whole && self.now >= most_of_it)
    }
}
