//! The handshake of an instance that is for all: it is made once, by whoever comes first. Whoever comes meanwhile
//! waits for what becomes of it, and makes it where that is nothing.

use super::{
    CallId, InstanceId, Relay,
    state::{Handshake, Stage},
};
use crate::{
    json::{Object, Value},
    mcp::{input, method::Asks},
    refusal::Refusal,
};
use sandboxd_broker_plan::Instructions;

/// The most bytes of memory that one takes, which as many are told as ask for it.
const LONGEST: usize = 64 << 10;

impl Relay {
    /// Answers a handshake by the one that was made. That was charged when it was passed on, and one that is answered
    /// here is no other.
    pub(super) fn shake(&mut self, id: CallId, instance: InstanceId, mut result: Object) {
        if let Err(refusal) = self.judge(id) {
            return self.refuse(id, refusal);
        }
        self.without_instructions(id, &mut result);
        let result = self.covered(instance, result.into());
        self.answer(id, "result", result);
    }

    /// Takes out what the callee tells the model of its caller, but where the edge passes it on.
    pub(super) fn without_instructions(&self, id: CallId, result: &mut Object) {
        let edge = self.calls.get(&id).and_then(|call| self.plan.edges.get(call.edge));
        if edge.is_none_or(|edge| edge.instructions != Instructions::Forwarded) {
            result.remove("instructions");
        }
    }

    /// The handshake is made: those who waited for it are answered alike.
    pub(super) fn shaken(&mut self, by: CallId, result: &Object) -> Result<(), Refusal> {
        let Some(id) = self.shakes(by) else { return Ok(()) };
        if result.weight() > LONGEST {
            return Err(Refusal::BadReply("The handshake of one process for all is too long."));
        }
        if let Some(known) = self.instances.get_mut(&id) {
            known.handshake = Handshake::Done(result.clone());
        }
        for call in self.waiting(id, Stage::Starting) {
            self.begin(call);
        }
        Ok(())
    }

    /// It was answered after its caller had gone, which others wait for nevertheless.
    pub(super) fn shaken_late(&mut self, by: CallId, body: &Object) {
        if let Some(Value::Object(result)) = body.get("result")
            && !input::is_required(result)
            && let Err(refusal) = self.shaken(by, result)
        {
            self.refuse(by, refusal);
        }
    }

    /// A call is forgotten. Where it was to make the handshake and did not, the next who waits makes it.
    pub(super) fn not_shaken(&mut self, by: CallId, instance: Option<InstanceId>) {
        let known = instance.and_then(|id| Some((id, self.instances.get_mut(&id)?)));
        if let Some((id, known)) = known
            && matches!(known.handshake, Handshake::Asked(asked) if asked == by)
        {
            known.handshake = Handshake::NotYet;
            self.unshaken.insert(id);
        }
    }

    /// Lets the next begin, wherever one is to.
    pub(super) fn shake_anew(&mut self) {
        while let Some(instance) = self.unshaken.pop_first() {
            let mut waiting = self.waiting(instance, Stage::Starting).into_iter();
            let next = waiting
                .find(|id| self.calls.get(id).is_some_and(|call| call.asks == Asks::Handshake));
            next.into_iter().for_each(|id| self.begin(id));
        }
    }

    /// The instance for all whose handshake this call makes.
    fn shakes(&self, by: CallId) -> Option<InstanceId> {
        let instance = self.calls.get(&by)?.instance?;
        let handshake = &self.instances.get(&instance)?.handshake;
        matches!(handshake, Handshake::Asked(asked) if *asked == by).then_some(instance)
    }
}
