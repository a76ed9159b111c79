//! What a callee says unasked, and what it asks back.

use super::{
    CallId, ConnectionId, InstanceId, Output, Relay,
    reply::relabel,
    state::{Call, Origin, Question, Stage, Timer},
};
use crate::{
    json::{Object, Value},
    limit::{Gcra, Wait},
    mcp::{
        list::Listed,
        method::{Asks, Target, Tells},
    },
    refusal::response,
    rpc::Id,
};
use sandboxd_broker_plan::record::Event;
use sandboxd_broker_plan::{Edge, Instances, Reverse, Speaks};

impl Relay {
    pub(super) fn told(&mut self, instance: InstanceId, method: &str, body: Object) {
        let Some(known) = self.instances.get(&instance) else { return };
        let Some(callee) = self.plan.callees.get(known.callee) else { return };
        let tells = Tells::of(method);
        if callee.speaks == Speaks::JsonRpc {
            return self.told_by_name(instance, method, body);
        }
        if tells == Some(Tells::Progress) {
            return self.progress(instance, body);
        }
        let body = self.covered_object(instance, body);
        match tells {
            Some(Tells::Cancelled) => self.taken_back(instance, &body),
            Some(Tells::Changed) => {
                let listed =
                    if method.contains("prompts") { Listed::Prompts } else { Listed::Tools };
                if !method.contains("resources") && self.knows(instance, listed) {
                    self.unknown(instance, listed);
                }
                self.pass_on(instance, body);
            }
            Some(Tells::Updated) if !self.updated(instance, &body) => {}
            Some(Tells::Updated | Tells::Message | Tells::Acknowledged) => {
                self.pass_on(instance, body);
            }
            Some(Tells::Progress) | None => self.stray(instance),
        }
    }

    /// A notification of a callee's own: for whoever it works for, where the edge names it. Of what it serves to
    /// others, and of what it says while nobody knows for whom, nobody hears.
    fn told_by_name(&mut self, instance: InstanceId, method: &str, body: Object) {
        let callee = self.instances.get(&instance).map(|known| known.callee);
        let callee = callee.and_then(|callee| self.plan.callees.get(callee));
        if !callee.is_some_and(|it| it.serves.methods.iter().any(|named| named.matches(method))) {
            return self.stray(instance);
        }
        let to = self.asker(instance).and_then(|to| Some((to, self.connections.get(&to)?.edge?)));
        let target = Target::Method(method.to_owned());
        if let Some((to, _)) = to.filter(|(_, edge)| self.edge_reaches(*edge, &target)) {
            let body = self.covered_object(instance, body);
            self.tell_caller(to, &body.into());
        }
    }

    /// Whether a list is known, so that it can be forgotten; one that is being asked for is new.
    pub(super) fn knows(&mut self, instance: InstanceId, listed: Listed) -> bool {
        matches!(
            self.catalogue(instance, listed),
            Some(crate::mcp::catalogue::Catalogue::Known { .. })
        )
    }

    /// Whether whoever hears of a resource may read it.
    fn updated(&self, instance: InstanceId, body: &Object) -> bool {
        let uri = params(body).and_then(|params| params.str("uri"));
        let Some(target) = uri.map(|uri| Target::Resource(uri.to_owned())) else { return false };
        match label(body) {
            Some(label) => {
                self.labelled(instance, &label).is_some_and(|call| self.reaches(call, &target))
            }
            // It is for the one connection of an instance, if anybody's.
            None => {
                let edge = self.instances.get(&instance).map(|known| known.edge);
                edge.is_some_and(|edge| self.edge_reaches(edge, &target))
            }
        }
    }

    /// The call whose subscription this is.
    fn labelled(&self, instance: InstanceId, label: &Id) -> Option<&Call> {
        let call = self.calls.get(&CallId(label.number()?))?;
        (call.instance == Some(instance) && call.stage == Stage::Sent).then_some(call)
    }

    /// To whom it belongs: to the call whose subscription it names; else, of an instance that is for
    /// one connection, to that. Of one that is for all, only that a list has changed, to all.
    fn pass_on(&mut self, instance: InstanceId, mut body: Object) {
        if let Some(label) = label(&body) {
            let call = self.labelled(instance, &label);
            if let Some(Origin::Caller { connection, id, .. }) = call.map(|call| &call.origin) {
                let (connection, id) = (*connection, id.clone());
                body.change("params", |params| relabel(params, &id));
                self.tell_caller(connection, &body.into());
            }
            return;
        }
        let Some(known) = self.instances.get(&instance) else { return };
        let everybody = body.str("method").is_some_and(|method| method.ends_with("list_changed"));
        let to: Vec<ConnectionId> = match known.owner {
            Some(owner) => vec![owner],
            None if everybody => known.users.iter().copied().collect(),
            None => Vec::new(),
        };
        // To each of all no more than what it has to know: what else stands there would be held for each.
        let message = match (known.owner, body.remove("method")) {
            (None, Some(method)) => [("jsonrpc", "2.0".into()), ("method", method)].into(),
            (_, method) => {
                method.into_iter().for_each(|method| body.set("method", method));
                body.into()
            }
        };
        for connection in to {
            self.tell_caller(connection, &message);
        }
    }

    /// How far a call is: for its caller, under the caller's own token, and not too often; only what goes on is
    /// looked through.
    fn progress(&mut self, instance: InstanceId, body: Object) {
        let token = params(&body).and_then(|params| Id::of(params.get("progressToken")?));
        let id = token.and_then(|token| token.number()).map(CallId);
        let rate = Gcra::from(self.plan.limits.progress);
        let call = id.and_then(|id| self.calls.get_mut(&id));
        let Some(call) = call.filter(|call| call.instance == Some(instance)) else { return };
        let Origin::Caller { connection, token: Some(token), .. } = &call.origin else { return };
        if call.stage != Stage::Sent {
            return;
        }
        let Ok(next) = rate.next(call.progress, self.now) else { return };
        call.progress = next;
        let (connection, token) = (*connection, token.clone());
        let mut body = self.covered_object(instance, body);
        body.change("params", |params| params.set("progressToken", token));
        self.tell_caller(connection, &body.into());
    }

    /// That a call waits for somebody who may approve it. Progress has to rise, and what the callee itself tells later
    /// counts from 0: so this is how many seconds are left, below 0.
    pub(super) fn tell_it_waits(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let Origin::Caller { connection, token: Some(token), .. } = &call.origin else { return };
        let Wait::Seconds(left) = self.now.until(call.deadline) else { return };
        let params = [
            ("progressToken", token.clone()),
            ("progress", i64::try_from(left).unwrap_or(i64::MAX).saturating_neg().into()),
            ("message", "waits for approval".into()),
        ];
        let told = [
            ("jsonrpc", "2.0".into()),
            ("method", "notifications/progress".into()),
            ("params", params.into()),
        ];
        self.tell_caller(*connection, &told.into());
    }

    /// A callee asks its caller. What it may not ask is a method that is not there.
    pub(super) fn asked_back(&mut self, instance: InstanceId, id: Id, method: &str, body: Object) {
        let body = self.covered_object(instance, body);
        let known = self.instances.get(&instance);
        let Some(callee) = known.and_then(|known| self.plan.callees.get(known.callee)) else {
            return;
        };
        let connection = self.asker(instance);
        match (callee.speaks, method) {
            (Speaks::Mcp, "ping") => {
                let pong = response(id, "result", Object::default().into());
                return self.tell_callee(instance, &pong);
            }
            (Speaks::Mcp, "roots/list") => {
                let edge = connection.and_then(|to| self.connections.get(&to)?.edge);
                let roots = roots(edge.and_then(|edge| self.plan.edges.get(edge)));
                return self.tell_callee(instance, &response(id, "result", roots));
            }
            _ => {}
        }
        let allowed = connection.is_some_and(|connection| self.may_ask(connection, method));
        let event = if allowed { Event::AskedBack } else { Event::AskedInVain };
        let record = self.instance_record(instance, event);
        self.out.push(Output::Record(record));
        match connection.filter(|_| allowed) {
            Some(connection) => self.ask(instance, id, connection, body),
            None => self.cannot_ask(instance, id),
        }
    }

    /// Whom an instance asks: whoever it is for, or works for.
    fn asker(&self, instance: InstanceId) -> Option<ConnectionId> {
        let known = self.instances.get(&instance)?;
        let mode = &self.plan.callees.get(known.callee)?.instances;
        match mode {
            Instances::PerCaller => known.owner,
            Instances::Serial => {
                let sent = self.waiting(instance, Stage::Sent).into_iter();
                let mut sent = sent.filter_map(|id| self.calls.get(&id));
                let call = sent.find(|call| call.origin.connection().is_some())?;
                // What another notified it of may be what it asks about.
                let alone = self.works_for(instance).iter().all(|it| call.chains.contains(it));
                call.origin.connection().filter(|_| alone)
            }
            // Nobody knows for whom it asks.
            Instances::Attenuate | Instances::Own { .. } => None,
        }
    }

    fn may_ask(&self, connection: ConnectionId, method: &str) -> bool {
        let edge = self.connections.get(&connection).and_then(|connection| connection.edge);
        let Some((edge, _, callee)) = edge.and_then(|edge| self.rules(edge)) else { return false };
        callee.speaks == Speaks::Mcp
            && match method {
                "elicitation/create" => edge.reverse.contains(&Reverse::Elicitation),
                "sampling/createMessage" => edge.reverse.contains(&Reverse::Sampling),
                _ => false,
            }
    }

    fn ask(&mut self, instance: InstanceId, id: Id, connection: ConnectionId, mut body: Object) {
        let edge = self.connections.get(&connection).and_then(|connection| connection.edge);
        let edge = edge.and_then(|edge| self.plan.edges.get(edge));
        let known = edge.map(|edge| (self.now.after(edge.deadline), edge.queue.length));
        let Some((until, most)) = known else {
            return self.cannot_ask(instance, id);
        };
        let open = self.questions.values().filter(|open| open.connection == connection).count();
        let again = self.questions.values().any(|open| open.instance == instance && open.id == id);
        if again || u32::try_from(open).is_ok_and(|open| open >= most.max(1)) {
            return self.cannot_ask(instance, id);
        }
        let number = self.number();
        body.set("id", number.into());
        if let Some(Value::Object(params)) = body.get_mut("params") {
            // Its progress would go nowhere.
            if let Some(Value::Object(meta)) = params.get_mut("_meta") {
                meta.remove("progressToken");
            }
        }
        self.timers.insert((until, Timer::Question(number)));
        self.questions.insert(number, Question { instance, id, connection, until });
        self.tell_caller(connection, &body.into());
    }

    /// A caller answers what a callee asked. It answers only what it was asked, and while that is asked for it.
    pub(super) fn answered(&mut self, connection: ConnectionId, answer: &Id, mut body: Object) {
        let number = answer.number();
        let asked = number.and_then(|number| self.questions.get(&number));
        if asked.is_none_or(|question| question.connection != connection) {
            return;
        }
        let Some(question) = number.and_then(|number| self.forget_question(number)) else { return };
        if !self.hears(question.instance, connection) {
            return self.cannot_ask(question.instance, question.id);
        }
        body.set("id", question.id.into());
        self.tell_callee(question.instance, &body.into());
    }

    /// Whether an instance works for all those for whom somebody speaks: else it would do for others what these say.
    fn hears(&self, instance: InstanceId, from: ConnectionId) -> bool {
        let own = self.instances.get(&instance).is_some_and(|known| known.owner == Some(from));
        let chains = self.chains(from);
        let here = self.calls.values().filter(|call| call.instance == Some(instance));
        let mut theirs = here.filter(|call| {
            call.origin.connection() == Some(from)
                && call.stage.is_with_callee()
                && call.asks != Asks::Listen
        });
        own || theirs.any(|call| chains.iter().all(|chain| call.chains.contains(chain)))
    }

    /// A callee needs no answer any more.
    fn taken_back(&mut self, instance: InstanceId, body: &Object) {
        let id = params(body).and_then(|params| Id::of(params.get("requestId")?));
        let mut asked = self.questions.iter();
        let number = asked
            .find(|(_, question)| {
                question.instance == instance && Some(&question.id) == id.as_ref()
            })
            .map(|(number, _)| *number);
        if let Some(number) = number {
            self.take_back(number);
        }
    }

    /// Knows a question no more.
    pub(super) fn forget_question(&mut self, number: u64) -> Option<Question> {
        let question = self.questions.remove(&number)?;
        self.timers.remove(&(question.until, Timer::Question(number)));
        Some(question)
    }

    /// The caller need not answer any more.
    pub(super) fn take_back(&mut self, number: u64) {
        let Some(question) = self.forget_question(number) else { return };
        let told = [
            ("jsonrpc", "2.0".into()),
            ("method", "notifications/cancelled".into()),
            ("params", [("requestId", number.into())].into()),
        ];
        self.tell_caller(question.connection, &told.into());
    }

    /// A question that nobody answered in time.
    pub(super) fn unanswered(&mut self, number: u64) {
        let Some(question) = self.questions.get(&number) else { return };
        let (instance, id) = (question.instance, question.id.clone());
        self.take_back(number);
        self.cannot_ask(instance, id);
    }
}

/// What `roots/list` is answered with, on behalf of whoever calls over this edge.
pub(super) fn roots(edge: Option<&Edge>) -> Value {
    let each = edge.into_iter().flat_map(|edge| &edge.roots).map(|root| {
        [("uri", root.uri.as_str().into()), ("name", root.name.as_str().into())].into()
    });
    [("roots", Value::Array(each.collect()))].into()
}

/// Which subscription a notification is of.
fn label(body: &Object) -> Option<Id> {
    let meta = params(body)?.get("_meta")?.as_object()?;
    Id::of(meta.get("io.modelcontextprotocol/subscriptionId")?)
}

fn params(body: &Object) -> Option<&Object> {
    body.get("params")?.as_object()
}
