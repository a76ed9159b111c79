//! The handshake of an instance that is for all: it is made once, by whoever comes first. Whoever comes meanwhile
//! waits for what becomes of it, and makes it where that is nothing.

use super::{
    CallId, InstanceId, Relay,
    reply::{AMBIGUOUS, MEANT},
    state::{Call, Handshake, Origin, Stage},
};
use crate::{
    json::{self, Object, Value},
    mcp::{Era, input, method::Asks, stamp},
    refusal::Refusal,
    rpc,
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
        let most = self.calls.get(&id).and_then(|call| self.plan.edges.get(call.edge));
        let most = most.map_or(0, |edge| edge.max_result.0);
        if u64::try_from(json::text(&result.clone().into()).len()).is_ok_and(|size| size > most) {
            return self.refuse(id, Refusal::TooLong);
        }
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
        if rpc::ambiguous(result, MEANT) {
            return Err(Refusal::BadReply(AMBIGUOUS));
        }
        if let Some(known) = self.instances.get_mut(&id) {
            known.handshake = Handshake::Done(result.clone());
        }
        if self.calls.get(&by).is_some_and(|call| matches!(call.origin, Origin::Greeting)) {
            self.initialize(id);
        }
        for call in self.waiting(id, Stage::Starting) {
            self.begin(call);
        }
        Ok(())
    }

    /// Makes the handshake of a process that takes another's place, to the same end as whoever made that one's: those
    /// who are connected do not make it again. It is nobody's, and has no word of anybody's.
    pub(super) fn greet(&mut self, instance: InstanceId) {
        let Some(known) = self.instances.get(&instance).filter(|it| it.owner.is_none()) else {
            return;
        };
        let (callee, edge) = (known.callee, known.edge);
        let greeting = self.callees.get(callee).and_then(|state| state.greeting.clone());
        let Some(greeting) = greeting else { return };
        let body = [
            ("jsonrpc", "2.0".into()),
            ("id", Value::Null),
            ("method", "initialize".into()),
            ("params", greeting.into()),
        ];
        let id = CallId(self.number());
        let deadline = self.in_time(edge);
        let call = Call {
            asks: Asks::Handshake,
            ..Call::own(
                Origin::Greeting,
                (edge, Era::Legacy),
                instance,
                body.into(),
                (self.now, deadline),
            )
        };
        self.calls.insert(id, call);
        if let Some(known) = self.instances.get_mut(&instance) {
            known.handshake = Handshake::Asked(id);
        }
        self.send(id);
    }

    /// A handshake is on its way: to the same end the next process for all is greeted.
    pub(super) fn keep_greeting(&mut self, instance: InstanceId, body: &Object) {
        let known = self.instances.get(&instance).filter(|it| it.owner.is_none());
        let state = known.and_then(|known| self.callees.get_mut(known.callee));
        if let Some(state) = state {
            let said = body.get("params").and_then(Value::as_object);
            state.greeting = Some(stamp::greeting(said.unwrap_or(&Object::default())));
        }
    }

    /// Whether the broker itself makes the handshake of an instance, which its calls wait for.
    pub(super) fn is_greeted(&self, instance: InstanceId) -> bool {
        let known = self.instances.get(&instance);
        let Some(Handshake::Asked(by)) = known.map(|known| &known.handshake) else { return false };
        self.calls.get(by).is_some_and(|call| matches!(call.origin, Origin::Greeting))
    }

    /// It was answered to nobody: its caller had gone, or it is the broker's own. Others wait for it nevertheless.
    pub(super) fn shaken_for_others(&mut self, by: CallId, body: &Object) {
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
            let waiting = self.waiting(instance, Stage::Starting).into_iter();
            let shakes =
                |id: &CallId| self.calls.get(id).is_some_and(|call| call.asks == Asks::Handshake);
            let (next, rest): (Vec<CallId>, Vec<CallId>) = waiting.partition(shakes);
            // Whoever waits for nothing but the broker's own goes on.
            next.into_iter().take(1).chain(rest).for_each(|id| self.begin(id));
        }
    }

    /// The instance for all whose handshake this call makes.
    fn shakes(&self, by: CallId) -> Option<InstanceId> {
        let instance = self.calls.get(&by)?.instance?;
        let handshake = &self.instances.get(&instance)?.handshake;
        matches!(handshake, Handshake::Asked(asked) if *asked == by).then_some(instance)
    }
}
