//! An edge that is taken back while its run goes on: nothing is called over it from then on, for as long as this relay
//! lives. What was begun over it ends, and so does what ran for it alone. Its connections stay: whoever asks over one is
//! told, the same whatever it asked for, and a model reads that.

use super::{CallId, ConnectionId, InstanceId, Output, Relay, edges::EdgeState, state::Stage};
use crate::{
    json::{Object, Value},
    mcp::{
        Era,
        list::{self, Listed},
        method::Asks,
    },
    refusal::Refusal,
};
use sandboxd_broker_plan::record::Rule;

impl Relay {
    /// Takes an edge back, by its place in the plan; that it holds is said last.
    pub(super) fn revoke(&mut self, edge: usize) {
        let Some(state) = self.edges.get_mut(edge) else { return };
        if !std::mem::replace(&mut state.revoked, true) {
            for call in self.calls_over(edge) {
                self.cut(call);
            }
            let connections = self.connections.iter().filter(|(_, it)| it.edge == Some(edge));
            let connections: Vec<ConnectionId> = connections.map(|(id, _)| *id).collect();
            for connection in connections {
                self.part(connection, edge);
            }
            self.end_unreached(edge);
        }
        self.out.push(Output::Revoked(edge));
    }

    pub(super) fn is_revoked(&self, edge: usize) -> bool {
        self.edges.get(edge).is_none_or(|state| state.revoked)
    }

    /// Whether each of a chain may still call the next one: what goes on for somebody after it was taken back is not
    /// done for them.
    pub(super) fn leads(&self, chain: &[usize]) -> bool {
        let may = |from: usize, to: &str| {
            let named =
                |edge: &EdgeState| self.plan.callees.get(edge.callee).map(|it| it.name.as_str());
            let mut edges = self.edges.iter().filter(|edge| edge.caller == from && !edge.revoked);
            edges.any(|edge| named(edge) == Some(to))
        };
        let mut links = chain.iter().zip(self.names(chain).skip(1));
        links.all(|(from, to)| may(*from, to))
    }

    /// The same of all the chains that a call is part of.
    pub(super) fn lead(&self, chains: &[Vec<usize>]) -> bool {
        chains.iter().all(|chain| self.leads(chain))
    }

    /// Answers what is asked over an edge that was taken back: there is nothing, and nothing is done.
    pub(super) fn answer_revoked(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let Asks::List(listed) = call.asks else { return self.refuse(id, Refusal::Revoked) };
        let mut nothing: Object = [(listed.key(), Value::Array(Vec::new()))].into();
        list::uncached(call.era, &mut nothing);
        if call.era == Era::Modern {
            nothing.set("resultType", "complete".into());
        }
        self.answer(id, "result", nothing.into());
    }

    fn calls_over(&self, edge: usize) -> Vec<CallId> {
        let over = self.calls.iter().filter(|(_, call)| call.edge == edge);
        over.filter(|(_, call)| call.origin.connection().is_some()).map(|(id, _)| *id).collect()
    }

    /// The call is over for its caller, and its callee is told that nobody waits for it.
    fn cut(&mut self, id: CallId) {
        match self.calls.get(&id).map(|call| call.stage) {
            None | Some(Stage::Draining | Stage::GivenUp) => {}
            Some(Stage::Sent) => {
                self.tell_cancelled(id, "it was revoked");
                self.say_refusal(id, &Refusal::Revoked);
                self.drain(id, Rule::Revoked, false);
            }
            Some(_) => self.refuse(id, Refusal::Revoked),
        }
    }

    /// Parts a connection from the instance that it had, which ends where it was for this connection alone.
    fn part(&mut self, id: ConnectionId, edge: usize) {
        let asked = self.questions.iter().filter(|(_, question)| question.connection == id);
        let asked: Vec<u64> = asked.map(|(number, _)| *number).collect();
        asked.into_iter().for_each(|number| self.unanswered(number));
        self.forget_rounds(id);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(instance) = connection.instance.take() else { return };
        let Some(known) = self.instances.get_mut(&instance) else { return };
        known.users.remove(&id);
        let (own, hears) = (known.owner == Some(id), known.initialized);
        if own {
            self.end_revoked(instance);
        }
        if hears {
            self.tell_nothing_is_left(id, edge);
        }
    }

    /// Says that each list which the edge had is another now.
    fn tell_nothing_is_left(&mut self, id: ConnectionId, edge: usize) {
        let Some(reach) = self.plan.edges.get(edge).map(|edge| &edge.reach) else { return };
        let had = [
            (Listed::Tools, !reach.tools.is_empty()),
            (Listed::Resources, !reach.resources.is_empty()),
            (Listed::Prompts, !reach.prompts.is_empty()),
        ];
        for (listed, _) in had.into_iter().filter(|(_, had)| *had) {
            let method = format!("notifications/{}/list_changed", listed.key());
            self.tell_caller(id, &[("jsonrpc", "2.0".into()), ("method", method.into())].into());
        }
    }

    /// Ends what was for several, where nobody is left who may call it.
    fn end_unreached(&mut self, edge: usize) {
        let Some(callee) = self.edges.get(edge).map(|state| state.callee) else { return };
        let reached = self.edges.iter().any(|state| state.callee == callee && !state.revoked);
        let shared = self.callees.get(callee).and_then(|state| state.shared);
        if let Some(instance) = shared.filter(|_| !reached) {
            self.end_revoked(instance);
        }
    }

    fn end_revoked(&mut self, instance: InstanceId) {
        self.forget_instance(instance, &Refusal::Revoked);
        self.out.push(Output::Stop(instance));
    }
}
