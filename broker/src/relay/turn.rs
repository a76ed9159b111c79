//! From an instance that runs to a line on its way: what is there, whether somebody approves, whose
//! turn it is, whether it is written down.

use super::{
    Ask, CallId, InstanceId, Output, Relay, Verdict,
    notice::roots,
    state::{Call, Handshake, Origin, Stage},
};
use crate::{
    json::{self, Object, Value},
    limit::Moment,
    mcp::{
        Era,
        catalogue::Catalogue,
        list::Listed,
        method::{Asks, Target},
        stamp,
    },
    refusal::Refusal,
    swap::Unfit,
};
use sandboxd_broker_plan::record::{Event, Outcome};
use sandboxd_broker_plan::{Durability, Instances, Millis};
use sha2::{Digest as _, Sha256};

/// How many subscriptions a connection may have, those among them that it cancelled a moment ago.
const LISTENS: usize = 8;

impl Relay {
    /// Finds the instance; goes on where it runs.
    pub(super) fn begin(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(connection) = call.origin.connection() else { return };
        let instance = match self.instance_for(connection) {
            Ok(instance) => instance,
            Err(refusal) => return self.refuse(id, refusal),
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.instance = Some(instance);
        let edge = call.edge;
        let waits = Some(self.in_time(edge));
        let Some(known) = self.instances.get_mut(&instance) else { return };
        if !known.running {
            return self.set_timer(id, waits);
        }
        if known.owner.is_none() && self.calls.get(&id).is_some_and(|it| it.asks == Asks::Handshake)
        {
            match &known.handshake {
                Handshake::NotYet => known.handshake = Handshake::Asked(id),
                Handshake::Asked(_) => return self.set_timer(id, waits),
                Handshake::Done(result) => {
                    let result = result.clone();
                    return self.shake(id, instance, result);
                }
            }
        }
        if self.is_greeted(instance) {
            return self.set_timer(id, waits);
        }
        self.look(id);
    }

    fn rules_of(&self, id: CallId) -> Option<&sandboxd_broker_plan::Edge> {
        self.plan.edges.get(self.calls.get(&id)?.edge)
    }

    /// Until when an answer over this edge is waited for, from now on.
    pub(super) fn in_time(&self, edge: usize) -> Moment {
        self.plan.edges.get(edge).map_or(self.now, |edge| self.now.after(edge.deadline))
    }

    /// Whether the name is known to be one; asks the callee first, where nobody has.
    pub(super) fn look(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let listed = match call.target {
            Target::Tool(_) => Listed::Tools,
            Target::Prompt(_) => Listed::Prompts,
            Target::Whole | Target::Resource(_) | Target::Method(_) => return self.decide(id),
        };
        let Some(instance) = call.instance else { return };
        match self.catalogue(instance, listed) {
            Some(Catalogue::Known { .. }) => return self.decide(id),
            Some(catalogue @ Catalogue::Unknown) => {
                catalogue.ask();
                self.ask_for(id, instance, listed, None);
            }
            Some(Catalogue::Asked { .. }) => {}
            None => return self.refuse(id, Refusal::Gone),
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.stage = Stage::Looking;
        let edge = call.edge;
        let until = self.in_time(edge);
        self.set_timer(id, Some(until));
    }

    pub(super) fn catalogue(&mut self, id: InstanceId, listed: Listed) -> Option<&mut Catalogue> {
        let instance = self.instances.get_mut(&id)?;
        Some(if listed == Listed::Prompts { &mut instance.prompts } else { &mut instance.tools })
    }

    /// Asks a callee for a list on the broker's own account, in the era in which another request speaks to it. Of that
    /// nothing else is in it: it may be refused yet, and nobody is held to what comes of this one.
    pub(super) fn ask_for(
        &mut self,
        like: CallId,
        instance: InstanceId,
        listed: Listed,
        cursor: Option<String>,
    ) {
        let Some(call) = self.calls.get(&like) else { return };
        let Some((rules, _, _)) = self.rules(call.edge) else { return };
        let mut params = Object::default();
        if call.era == Era::Modern {
            let known = self.instances.get(&instance);
            let is_for_one = known.is_some_and(|known| known.owner.is_some());
            params.set("_meta", stamp::own(rules, is_for_one));
        }
        if let Some(cursor) = cursor {
            params.set("cursor", cursor.into());
        }
        let mut body: Object = [("jsonrpc", "2.0".into()), ("id", Value::Null)].into();
        body.set("method", listed.method().into());
        if !params.is_empty() {
            body.set("params", params.into());
        }
        let (edge, era) = (call.edge, call.era);
        let deadline = self.in_time(edge);
        let id = CallId(self.number());
        let ours = Call {
            asks: Asks::List(listed),
            ..Call::own(
                Origin::Catalogue(listed),
                (edge, era),
                instance,
                body,
                (self.now, deadline),
            )
        };
        self.calls.insert(id, ours);
        self.send(id);
    }

    /// Every rule, and then whoever must approve.
    pub(super) fn decide(&mut self, id: CallId) {
        self.set_timer(id, None);
        let approved = self.calls.get(&id).is_some_and(|call| call.approved);
        // It was charged before somebody was asked.
        let judged = if approved { self.may(id).map(|_| ()) } else { self.judge(id) };
        if let Err(refusal) = judged {
            return self.refuse(id, refusal);
        }
        if approved {
            return self.enqueue(id);
        }
        let Some(call) = self.calls.get(&id) else { return };
        let Some((edge, _, callee)) = self.rules(call.edge) else { return };
        let Some(expires) = self.approval_within(call) else { return self.enqueue(id) };
        let mut parameters = call.body.get("params").cloned().unwrap_or(Value::Null);
        if let Value::Object(parameters) = &mut parameters {
            stamp::as_written(parameters, callee.speaks);
        }
        let exactly = json::canonical(&parameters);
        let (caller, name) = (edge.caller.to_string(), edge.name.to_string());
        let names = |chain: &Vec<usize>| self.names(chain).map(str::to_owned).collect();
        let chains: Vec<Vec<String>> = call.chains.iter().map(names).collect();
        let along = chains.concat().join(" ");
        let exact = [caller.as_str(), &name, &along, &call.method, &exactly];
        let mut digest = Sha256::new().chain_update(self.plan.generation.to_le_bytes());
        for part in exact {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            digest = digest.chain_update(length.to_le_bytes()).chain_update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let ask = Ask {
            call: id,
            caller,
            chains,
            edge: name,
            callee: callee.name.to_string(),
            method: self.shown_word(call, &call.method),
            name: self.shown_word(call, call.target.name()),
            parameters: json::canonical(&self.shown(call, parameters)),
            digest,
            expires: self.now.after(expires),
        };
        let until = ask.expires;
        self.out.push(Output::Ask(ask));
        if let Some(call) = self.calls.get_mut(&id) {
            (call.stage, call.deadline) = (Stage::Held(digest), until);
            // What is not shown is not passed on.
            call.body.retain(|key, _| ["jsonrpc", "id", "method", "params"].contains(&key));
        }
        self.hold_on(id);
    }

    /// An approval is for the exact call and for once: the stage is left by it.
    pub(super) fn decided(
        &mut self,
        id: CallId,
        digest: [u8; 32],
        verdict: &Verdict,
        by: Option<u32>,
    ) {
        let held = self.calls.get(&id).filter(|call| call.stage == Stage::Held(digest));
        let Some(edge) = held.map(|call| call.edge) else { return };
        if let (Some(by), Some(what)) = (by, self.what(id)) {
            let event = match verdict {
                Verdict::Approved => Event::Approved(what, by),
                Verdict::Denied(_) => Event::Denied(what, by),
            };
            let record = self.call_record(id, event);
            self.out.push(Output::Record(record));
        }
        match verdict {
            Verdict::Approved => {
                // Waiting for a person is not the callee's time.
                let deadline = self.in_time(edge);
                if let Some(call) = self.calls.get_mut(&id) {
                    (call.deadline, call.whole) = (deadline, true);
                    (call.approved, call.stage) = (true, Stage::Looking);
                }
                // Its tool may be another by now.
                self.look(id);
            }
            Verdict::Denied(why) => self.refuse(id, Refusal::NotApproved(why.clone())),
        }
    }

    fn enqueue(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.asks == Asks::Listen {
            return self.listen(id);
        }
        call.stage = Stage::Queued;
        let (edge, size) = (call.edge, call.size);
        let Some((rules, callee, _)) = self.rules(edge) else { return };
        let (queue, caller) = (rules.queue, self.edges.get(edge).map_or(0, |edge| edge.caller));
        if let Some(state) = self.edges.get_mut(edge) {
            state.queued = state.queued.saturating_add(1);
        }
        if let Some(state) = self.callees.get_mut(callee) {
            state.queue.push(caller, id, size);
        }
        self.pump(callee);
        if self.calls.get(&id).is_none_or(|call| call.stage != Stage::Queued) {
            return;
        }
        let until = self.now.after(queue.wait);
        if self.edges.get(edge).is_some_and(|edge| edge.queued > queue.length) {
            return self.refuse(id, Refusal::Busy(self.now.until(until)));
        }
        self.set_timer(id, Some(until));
    }

    /// A subscription is open for as long as its caller wishes: it takes nobody's turn, and has a bound of its own.
    fn listen(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let connection = call.origin.connection();
        let theirs = self.calls.values().filter(|call| call.origin.connection() == connection);
        if theirs.filter(|call| call.asks == Asks::Listen).count() > LISTENS {
            return self.refuse(id, Refusal::Listens);
        }
        let Some(what) = self.what(id) else { return };
        let record = self.call_record(id, Event::Allowed(what));
        self.out.push(Output::Record(record));
        self.send(id);
    }

    /// Lets go on who may.
    pub(super) fn pump(&mut self, callee: usize) {
        while let Some(state) = self.callees.get(callee) {
            let open = state.in_flight;
            let Some(rules) = self.plan.callees.get(callee) else { return };
            // One call at a time, whatever is written beside it.
            let serial = rules.instances == Instances::Serial;
            if (serial && open > 0)
                || !rules.in_flight.admits(open)
                || !self.plan.limits.in_flight.admits(self.in_flight)
            {
                return;
            }
            let (calls, edges, plan) = (&self.calls, &self.edges, &self.plan.edges);
            let ready = |id: CallId| {
                let edge = calls.get(&id).map(|call| call.edge);
                let rules = edge.and_then(|edge| Some((plan.get(edge)?, edges.get(edge)?)));
                rules.is_some_and(|(rules, state)| {
                    !state.revoked && rules.in_flight.admits(state.in_flight)
                })
            };
            let Some(state) = self.callees.get_mut(callee) else { return };
            let Some(id) = state.queue.pop(ready) else { return };
            self.admitted(id, callee);
        }
    }

    fn admitted(&mut self, id: CallId, callee: usize) {
        self.set_timer(id, None);
        let now = self.now;
        let Some(what) = self.what(id) else { return };
        let Some(call) = self.calls.get(&id) else { return };
        // It may have been taken back while it waited for its turn.
        if !self.lead(&call.chains) {
            return self.refuse(id, Refusal::Revoked);
        }
        let (edge, by, is_call) = (call.edge, call.origin.connection(), call.asks.is_call());
        if self.gave_up_much(id) {
            let grace = self.rules(edge).map_or(Millis(0), |(_, _, callee)| callee.grace);
            return self.refuse(id, Refusal::Busy(now.until(now.after(grace))));
        }
        // Not before: while it waited for somebody, all others would wait for how it ends.
        let admits = self.fuse(edge, by).filter(|_| is_call).map_or(Ok(()), |fuse| fuse.admit(now));
        if let Err(wait) = admits {
            return self.refuse(id, Refusal::Broken(wait));
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        (call.slot, call.trial, call.stage) = (true, is_call, Stage::Recording);
        self.in_flight += 1;
        if let Some(state) = self.callees.get_mut(callee) {
            state.in_flight += 1;
        }
        if let Some(state) = self.edges.get_mut(edge) {
            state.in_flight += 1;
            state.queued = state.queued.saturating_sub(1);
        }
        self.meant(id, None);
        let record = self.call_record(id, Event::Allowed(what));
        let durable = self.rules_of(id).map(|edge| edge.durability) == Some(Durability::Durable);
        if durable && what.method.is_call() {
            self.out.push(Output::Durable(record));
            let until = self.in_time(edge);
            return self.set_timer(id, Some(until));
        }
        self.out.push(Output::Record(record));
        self.send(id);
    }

    pub(super) fn recorded(&mut self, id: CallId, written: bool) {
        if self.calls.get(&id).is_none_or(|call| call.stage != Stage::Recording) {
            return;
        }
        // Of those it is for, one may have been taken back while the disk was waited for.
        let lead = self.calls.get(&id).is_some_and(|call| self.lead(&call.chains));
        match (written, lead) {
            (false, _) => self.refuse(id, Refusal::NotRecorded),
            (true, false) => self.refuse(id, Refusal::Revoked),
            (true, true) => self.send(id),
        }
    }

    /// Passes a request on, under a number of ours.
    pub(super) fn send(&mut self, id: CallId) {
        self.remember_served(id);
        let now = self.now;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(instance) = call.instance else { return };
        let (mut body, again) = (std::mem::take(&mut call.body), call.again.take());
        if call.asks == Asks::Handshake {
            self.keep_greeting(instance, &body);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        (call.stage, call.sent) = (Stage::Sent, now);
        let deadline = (call.asks != Asks::Listen).then_some(call.deadline);
        let silent = matches!(call.origin, Origin::Note(_));
        if !silent {
            body.set("id", id.0.into());
        }
        if let Origin::Caller { token: Some(_), .. } = &call.origin {
            body.change("params", |params| {
                params.change("_meta", |meta| meta.set("progressToken", id.0.into()));
            });
        } else if let Some(Value::Object(params)) = body.get_mut("params")
            && let Some(Value::Object(meta)) = params.get_mut("_meta")
        {
            meta.remove("progressToken");
        }
        self.weigh_less(id);
        if let Some(asked) = again {
            let roots = roots(self.rules_of(id));
            body.change("params", |params| asked.give_back(params, &roots));
        }
        if self.calls.get(&id).is_some_and(|call| call.secrets != 0) {
            match self.swapped(id, &body) {
                Some(line) => self.out.push(Output::Swapped(instance, line)),
                None => return self.refuse(id, Refusal::Secret(Unfit::Misplaced)),
            }
        } else {
            self.tell_callee(instance, &body.into());
        }
        if silent {
            return self.finished(id, Outcome::Answered, 0, true);
        }
        self.set_timer(id, deadline);
    }
}
