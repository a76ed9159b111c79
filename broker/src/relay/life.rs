//! Connections and instances: how they come and go.
//!
//! An instance that is for one connection ends with it, and the connection with the instance, as a
//! client that started its server itself knows it. An instance that is for all stays.

use super::{
    CallId, ConnectionId, Endpoint, InstanceId, Output, Relay,
    behalf::Served,
    state::{CalleeState, Connection, Handshake, Instance, Stage},
};
use crate::{
    frame::Lines,
    json::Value,
    mcp::{catalogue::Catalogue, method::Asks},
    refusal::{self, Refusal},
    rpc::Id,
};
use sandboxd_broker_plan::record::Event;
use sandboxd_broker_plan::{Instances, Name};
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes of a line that names the edge.
const FIRST_LINE: usize = 4096;

impl Relay {
    pub(super) fn open(
        &mut self,
        id: ConnectionId,
        caller: &Name,
        endpoint: Endpoint<'_>,
        behalf: Option<InstanceId>,
    ) {
        let place = self.plan.callers.iter().position(|known| known.name == *caller);
        // One that is over calls nobody, however long its processes take to end.
        let is_over = behalf.is_some_and(|behalf| !self.instances.contains_key(&behalf));
        let is_known = self.connections.contains_key(&id);
        let Some(place) = place.filter(|_| !is_known && !is_over) else {
            self.out.push(Output::Close(id));
            return;
        };
        let edge = match endpoint {
            Endpoint::Edge(name) => self.edge_named(place, name.as_str()),
            Endpoint::FirstLine => None,
        };
        let most = self.plan.callers.get(place).map_or(0, |caller| caller.connections);
        let theirs =
            self.connections.values().filter(|it| (it.caller, it.behalf) == (place, behalf));
        let fits = u32::try_from(theirs.count()).is_ok_and(|open| open < most);
        let known = edge.is_some() || matches!(endpoint, Endpoint::FirstLine);
        if !known || !fits {
            self.out.push(Output::Close(id));
            return;
        }
        let connection = Connection {
            caller: place,
            edge: None,
            behalf,
            only: None,
            instance: None,
            lines: Lines::new(FIRST_LINE),
            strikes: 0,
            held: 0,
            calls: 0,
            open: BTreeMap::new(),
            rounds: BTreeMap::new(),
            last_round: 0,
        };
        self.connections.insert(id, connection);
        if let Some(edge) = edge {
            self.choose(id, edge);
        }
    }

    /// The edge of a caller with this name.
    pub(super) fn edge_named(&self, caller: usize, name: &str) -> Option<usize> {
        self.plan
            .edges
            .iter()
            .zip(&self.edges)
            .position(|(edge, state)| state.caller == caller && edge.name.as_str() == name)
    }

    /// From now on the connection is for this edge.
    pub(super) fn choose(&mut self, id: ConnectionId, edge: usize) {
        let most = self.plan.edges.get(edge).map_or(0, |edge| edge.max_request.0);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.edge = Some(edge);
            connection.lines.limit(usize::try_from(most).unwrap_or(usize::MAX));
        }
    }

    /// The instance of a connection; one that is not there is asked for.
    pub(super) fn instance_for(&mut self, id: ConnectionId) -> Result<InstanceId, Refusal> {
        let connection = self.connections.get(&id).ok_or(Refusal::Gone)?;
        if let Some(instance) = connection.instance {
            return Ok(instance);
        }
        let edge = connection.edge.ok_or(Refusal::Gone)?;
        let (rules, place, callee) = self.rules(edge).ok_or(Refusal::Gone)?;
        let own = callee.instances == Instances::PerCaller;
        let most = usize::try_from(rules.max_result.0).unwrap_or(usize::MAX);
        let now = self.now;
        self.fuse(edge, Some(id)).ok_or(Refusal::Gone)?.rests(now).map_err(Refusal::Broken)?;
        let shared = self.callees.get(place).and_then(|state| state.shared);
        let instance = match shared.filter(|_| !own) {
            Some(shared) => shared,
            None => {
                let instance = InstanceId(self.number());
                let owner = own.then_some(id);
                self.instances.insert(instance, new_instance(place, edge, owner, most));
                if let Some(state) = self.callees.get_mut(place).filter(|_| !own) {
                    state.shared = Some(instance);
                }
                self.out.push(Output::Start { instance, edge, connection: id });
                instance
            }
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.instance = Some(instance);
        }
        if let Some(known) = self.instances.get_mut(&instance) {
            known.users.insert(id);
            known.lines.limit(most.max(known.lines.most()));
        }
        self.may_be_given(instance, id);
        Ok(instance)
    }

    pub(super) fn started(&mut self, id: InstanceId) {
        let Some(instance) = self.instances.get_mut(&id) else {
            // It is not wanted any more.
            self.out.push(Output::Stop(id));
            return;
        };
        instance.running = true;
        self.greet(id);
        for call in self.waiting(id, Stage::Starting) {
            self.begin(call);
        }
    }

    /// The calls of an instance that are at a stage.
    pub(super) fn waiting(&self, id: InstanceId, stage: Stage) -> Vec<CallId> {
        let here = self.calls.iter().filter(|(_, call)| call.instance == Some(id));
        here.filter(|(_, call)| call.stage == stage).map(|(id, _)| *id).collect()
    }

    pub(super) fn ended(&mut self, id: InstanceId) {
        let Some(instance) = self.instances.get(&id) else { return };
        let (edge, owner, running, now) =
            (instance.edge, instance.owner, instance.running, self.now);
        if !running && self.fuse(edge, owner).is_some_and(|fuse| fuse.ended(false, now)) {
            let record = self.instance_record(id, Event::BreakerOpened);
            self.out.push(Output::Record(record));
        }
        self.forget_instance(id, &Refusal::Gone);
        if let Some(owner) = owner {
            self.leave(owner);
            self.out.push(Output::Close(owner));
        }
    }

    /// An instance that misbehaves: what it was asked is answered by us, and it is stopped.
    pub(super) fn stop(&mut self, id: InstanceId, refusal: &Refusal) {
        let owner = self.instances.get(&id).and_then(|instance| instance.owner);
        self.forget_instance(id, refusal);
        self.out.push(Output::Stop(id));
        if let Some(owner) = owner {
            self.leave(owner);
            self.out.push(Output::Close(owner));
        }
    }

    /// Answers everything that waits for an instance, and knows it no more.
    pub(super) fn forget_instance(&mut self, id: InstanceId, refusal: &Refusal) {
        let calls: Vec<CallId> = self.calls_of(id);
        for call in calls {
            self.refuse(call, refusal.clone());
        }
        let asked = self.questions.iter().filter(|(_, question)| question.instance == id);
        let asked: Vec<u64> = asked.map(|(number, _)| *number).collect();
        for number in asked {
            self.take_back(number);
        }
        let Some(instance) = self.instances.remove(&id) else { return };
        if let Some(CalleeState { shared, .. }) = self.callees.get_mut(instance.callee)
            && *shared == Some(id)
        {
            *shared = None;
        }
        for user in instance.users {
            if let Some(connection) = self.connections.get_mut(&user) {
                connection.instance = None;
            }
            self.forget_rounds(user);
        }
        self.calls_no_more(id);
        self.forget_keyrings();
        self.tripwires.retain(|who, _| who.1 != Some(id));
        for callee in &mut self.callees {
            callee.fuses.retain(|who, _| who.is_none_or(|who| who.1 != Some(id)));
        }
    }

    /// What an instance that is over has called is over too: nobody is left on whose behalf that would be.
    fn calls_no_more(&mut self, id: InstanceId) {
        let own = self.connections.iter().filter(|(_, connection)| connection.behalf == Some(id));
        let own: Vec<ConnectionId> = own.map(|(id, _)| *id).collect();
        for connection in own {
            self.closed(connection);
            self.out.push(Output::Close(connection));
        }
    }

    /// Those first that wait for a place: none gets that of another that ends.
    fn calls_of(&self, id: InstanceId) -> Vec<CallId> {
        let here = self.calls.iter().filter(|(_, call)| call.instance == Some(id));
        let mut calls: Vec<(bool, CallId)> = here.map(|(id, call)| (call.slot, *id)).collect();
        calls.sort_unstable();
        calls.into_iter().map(|(_, id)| id).collect()
    }

    /// The caller closed its connection: everything it waits for is cancelled.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        let instance = self.connections.get(&id).and_then(|connection| connection.instance);
        self.leave(id);
        let own = instance.filter(|instance| {
            self.instances.get(instance).is_some_and(|instance| instance.owner == Some(id))
        });
        if let Some(instance) = own {
            self.forget_instance(instance, &Refusal::Gone);
            self.out.push(Output::Stop(instance));
        }
    }

    /// Knows a connection no more.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        let calls = self.calls.iter().filter(|(_, call)| call.origin.connection() == Some(id));
        let calls: Vec<CallId> = calls.map(|(id, _)| *id).collect();
        for call in calls {
            self.cancel(call, "the caller is gone");
        }
        let asked = self.questions.iter().filter(|(_, question)| question.connection == id);
        let asked: Vec<u64> = asked.map(|(number, _)| *number).collect();
        for number in asked {
            if let Some(question) = self.forget_question(number) {
                self.cannot_ask(question.instance, question.id);
            }
        }
        self.forget_rounds(id);
        let Some(connection) = self.connections.remove(&id) else { return };
        let instance = connection.instance.and_then(|instance| self.instances.get_mut(&instance));
        if let Some(instance) = instance {
            instance.users.remove(&id);
        }
    }

    /// Closes the connections that will write no more and wait for nothing. A subscription ends with
    /// its connection, so nobody waits for its end.
    pub(super) fn finish(&mut self) {
        let waits = |relay: &Self, id: &ConnectionId| {
            let open = relay.connections.get(id).into_iter().flat_map(|it| it.open.values());
            open.filter_map(|call| relay.calls.get(call)).any(|call| call.asks != Asks::Listen)
        };
        let done: Vec<ConnectionId> =
            self.finishing.iter().filter(|id| !waits(self, id)).copied().collect();
        for id in done {
            self.finishing.remove(&id);
            if self.connections.contains_key(&id) {
                self.closed(id);
                self.out.push(Output::Close(id));
            }
        }
    }

    pub(super) fn caller_gone(&mut self, caller: &Name) {
        let place = self.plan.callers.iter().position(|known| known.name == *caller);
        let all = self.connections.iter();
        let theirs = all.filter(|(_, connection)| Some(connection.caller) == place);
        let theirs: Vec<ConnectionId> = theirs.map(|(id, _)| *id).collect();
        for id in theirs {
            self.closed(id);
            self.out.push(Output::Close(id));
        }
    }

    /// What a callee asked back is not passed on.
    pub(super) fn cannot_ask(&mut self, instance: InstanceId, id: Id) {
        self.tell_callee(instance, &refusal::malformed(Some(id), -32601, "Method not found"));
    }

    pub(super) fn tell_callee(&mut self, instance: InstanceId, message: &Value) {
        if self.instances.contains_key(&instance) {
            self.out.push(Output::ToCallee(instance, line(message)));
        }
    }

    pub(super) fn tell_caller(&mut self, connection: ConnectionId, message: &Value) {
        if self.connections.contains_key(&connection) {
            self.out.push(Output::ToCaller(connection, line(message)));
        }
    }
}

fn new_instance(callee: usize, edge: usize, owner: Option<ConnectionId>, most: usize) -> Instance {
    Instance {
        callee,
        edge,
        owner,
        users: BTreeSet::new(),
        running: false,
        lines: Lines::new(most),
        stray: 0,
        tools: Catalogue::default(),
        prompts: Catalogue::default(),
        handshake: Handshake::NotYet,
        initialized: false,
        served: Served::default(),
        rings: BTreeSet::new(),
        over: BTreeSet::new(),
    }
}

/// A message and the end of its line.
fn line(message: &Value) -> Vec<u8> {
    let mut line = crate::json::text(message).into_bytes();
    line.push(b'\n');
    line
}
