//! Secrets that stand in arguments: whose they are, which call they go into, and that nothing which comes from a
//! callee that may have been given one tells it to anybody.
//!
//! A caller's are its own: of an instance that calls, those of that instance, and never those of whoever it answers.
//! They are put in when the line is written, after all that is judged, asked about and recorded, which is what the
//! caller wrote.

use super::{
    CallId, InstanceId, Relay,
    state::{Call, Who},
};
use crate::{
    json::{self, Object, Value},
    mcp::method::{Asks, Target},
    relay::ConnectionId,
    secret::{NotTaken, SecretError, Secrets},
    swap::{Keyring, Piece, Unfit, found, hide_too},
};
use sandboxd_audit::{Hidden, hide};
use sandboxd_broker_plan::{Name, Placeholder};
use std::{collections::BTreeSet, sync::Arc};

impl Relay {
    /// What stands for the placeholders of a caller from now on: of the instance that it is, where this broker has
    /// started it.
    ///
    /// # Errors
    /// Where these are not what the plan names; then those that were there go on to stand.
    pub fn keep_secrets(
        &mut self,
        caller: &Name,
        behalf: Option<InstanceId>,
        secrets: &Secrets,
    ) -> Result<(), SecretError> {
        let place = self.plan.callers.iter().position(|known| known.name == *caller);
        let known = place.and_then(|place| Some((place, self.plan.callers.get(place)?)));
        let (place, known) =
            known.ok_or_else(|| SecretError::new(NotTaken::Unknown, "there is no such caller"))?;
        let ring = (place, behalf);
        let keyring = Keyring::of(&known.secrets, secrets, self.keyrings.get(&ring))?;
        // One that is over by now needs none.
        if behalf.is_none_or(|instance| self.instances.contains_key(&instance)) {
            self.keyrings.insert(ring, keyring);
        }
        Ok(())
    }

    /// An instance is for this connection, which may have a secret told to it. What it says is looked through from
    /// here on, since another one of the same callee may have been given it before.
    pub(super) fn may_be_given(&mut self, instance: InstanceId, connection: ConnectionId) {
        let edge = self.connections.get(&connection).and_then(|it| it.edge);
        let places = edge.and_then(|edge| self.plan.edges.get(edge)).map(|edge| &edge.placeholders);
        if places.is_none_or(Vec::is_empty) {
            return;
        }
        if let (Some(ring), Some(known)) = (self.who(connection), self.instances.get_mut(&instance))
        {
            known.rings.insert(ring);
        }
    }

    /// Lets go of those of instances that are over. What they were is kept once for each caller, however many of its
    /// instances had it, while somebody is there who may have been given one.
    pub(super) fn forget_keyrings(&mut self) {
        let there: BTreeSet<InstanceId> = self.instances.keys().copied().collect();
        let over = |ring: &Who| ring.1.is_some_and(|instance| !there.contains(&instance));
        for known in self.instances.values_mut() {
            let done: Vec<Who> = known.rings.iter().filter(|ring| over(ring)).copied().collect();
            for ring in done {
                known.rings.remove(&ring);
                let Some(keyring) = self.keyrings.get(&ring) else { continue };
                known.over.insert(ring.0);
                let kept = self.over.entry(ring.0).or_default();
                keyring.hidden().for_each(|hidden| hide_too(kept, Arc::clone(hidden)));
            }
        }
        self.keyrings.retain(|ring, _| !over(ring));
        let instances = &self.instances;
        self.over.retain(|caller, _| instances.values().any(|known| known.over.contains(caller)));
    }

    /// Which secrets stand in a call. Of a tool in whose arguments none may stand, and of anything else that is
    /// asked for, nothing is looked at: what was written goes on.
    pub(super) fn placeholders(&self, call: &Call) -> Result<u64, Unfit> {
        let Some(edge) = self.plan.edges.get(call.edge) else { return Ok(0) };
        let (false, Asks::Tool, Target::Tool(tool)) =
            (edge.placeholders.is_empty(), call.asks, &call.target)
        else {
            return Ok(0);
        };
        let of_tool = edge.placeholders.iter().filter(|place| place.tools.contains(tool));
        let places: Vec<&Placeholder> = of_tool.collect();
        let params = call.body.get("params").and_then(Value::as_object);
        let Some(arguments) = params.and_then(|params| params.get("arguments")) else {
            return Ok(0);
        };
        let caller = self.edges.get(call.edge).and_then(|it| self.plan.callers.get(it.caller));
        let (Some(caller), false) = (caller, places.is_empty()) else { return Ok(0) };
        let found = found(arguments, &places, &caller.secrets)?;
        let count = u64::try_from(found.count).unwrap_or(u64::MAX);
        let size = call.size.saturating_add(count.saturating_mul(Placeholder::COUNTS));
        if found.count > 0 && size > edge.max_request.0 {
            return Err(Unfit::TooMany);
        }
        let ring = call.origin.connection().and_then(|connection| self.who(connection));
        match ring.and_then(|ring| self.keyrings.get(&ring)) {
            None if found.count > 0 => Err(Unfit::Misplaced),
            Some(_) | None => Ok(found.secrets),
        }
    }

    /// The line of a call, with the secrets in their places; nothing where they are not there any more.
    pub(super) fn swapped(&self, id: CallId, body: &Object) -> Option<Vec<Piece>> {
        let connection = self.calls.get(&id)?.origin.connection()?;
        let keyring = self.keyrings.get(&self.who(connection)?)?;
        let [before, arguments, after] = json::around(body, &["params", "arguments"])?;
        let mut line = vec![Piece::Text(before.into_bytes())];
        line.extend(keyring.pieces(&arguments)?);
        line.push(Piece::Text((after + "\n").into_bytes()));
        Some(line)
    }

    /// What an instance says, without the secrets that it may have been given.
    pub(super) fn covered(&self, instance: InstanceId, said: Value) -> Value {
        match self.given(instance).as_slice() {
            [] => said,
            given => said.with_texts(&|text| clean(given, text)),
        }
    }

    /// The same, of an object.
    pub(super) fn covered_object(&self, instance: InstanceId, said: Object) -> Object {
        match self.given(instance).as_slice() {
            [] => said,
            given => said.with_texts(&|text| clean(given, text)),
        }
    }

    /// Whether what an instance says has a secret that it may have been given.
    pub(super) fn tells(&self, instance: InstanceId, said: &Object) -> bool {
        match self.given(instance).as_slice() {
            [] => false,
            given => said.clone().with_texts(&|text| clean(given, text)) != *said,
        }
    }

    /// Whether a word that an instance says has such a secret.
    pub(super) fn tells_in(&self, instance: InstanceId, word: &str) -> bool {
        clean(&self.given(instance), word).is_some()
    }

    /// What whoever is asked about a call is shown of it: the caller may itself have been given a secret of somebody
    /// else's.
    pub(super) fn shown(&self, call: &Call, said: Value) -> Value {
        match self.caller_of(call) {
            Some(caller) => self.covered(caller, said),
            None => said,
        }
    }

    /// The same, of a word of it.
    pub(super) fn shown_word(&self, call: &Call, word: &str) -> String {
        let given = self.caller_of(call).map(|caller| self.given(caller)).unwrap_or_default();
        clean(&given, word).unwrap_or_else(|| word.to_owned())
    }

    /// The instance that calls, where this broker has started it.
    fn caller_of(&self, call: &Call) -> Option<InstanceId> {
        self.connections.get(&call.origin.connection()?)?.behalf
    }

    /// The secrets that an instance may have been given.
    fn given(&self, instance: InstanceId) -> Vec<&Hidden> {
        let Some(known) = self.instances.get(&instance) else { return Vec::new() };
        let there = known.rings.iter().filter_map(|ring| self.keyrings.get(ring));
        let over = known.over.iter().filter_map(|caller| self.over.get(caller)).flatten();
        there.flat_map(Keyring::hidden).chain(over).map(Arc::as_ref).collect()
    }
}

fn clean(given: &[&Hidden], text: &str) -> Option<String> {
    hide::clean(given.iter().copied(), text)
}
