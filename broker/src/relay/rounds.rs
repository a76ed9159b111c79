//! Requests of the newer era that are made again, because their callee asked something back first.
//!
//! What a callee wants back (`requestState`) is held here, with the connection that it was asked of. The caller gets
//! a word instead that says which of its own it is, and that is good for nothing on another connection: not
//! for another caller, edge or instance, since a connection has one of each. It is good once, for the same method
//! and parameters, on behalf of the same callers, until it is too old
//! (`docs/decisions/0054-what-is-asked-back-by-a-result.md`).

use super::{
    CallId, ConnectionId, Output, Relay,
    state::{Round, Timer},
};
use crate::{
    json::{self, Object, Value},
    limit::Moment,
    mcp::{
        Era,
        input::{self, Asked, RESPONSES, STATE, Unfit},
    },
    refusal::Refusal,
};
use sandboxd_broker_plan::record::Event;
use sandboxd_broker_plan::{Reverse, Speaks};

/// Calls of a connection that may wait to be made again; the oldest gives way to a new one.
const MOST: usize = 8;

/// What a word for a caller begins with.
const WORD: &str = "sandboxd-";

const UNASKED: &str = "requestState and inputResponses do not belong to this request: it was repeated already, or \
    too late, or is not the request that was answered by a question. Send it without them.";

impl Relay {
    /// Looks at a result whether it asks something back. What of that needs leave and has none is not passed on.
    pub(super) fn asked_by_result(
        &mut self,
        id: CallId,
        result: &mut Object,
    ) -> Result<(), Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::Gone)?;
        let (rules, _, _) = self.rules(call.edge).ok_or(Refusal::Gone)?;
        let known = call.era == Era::Modern && input::may_ask(&call.method);
        if call.era == Era::Legacy && !input::is_required(result) {
            return Ok(());
        }
        let (most, expires) = (rules.queue.length.max(1), self.now.after(rules.deadline));
        let asked = match input::take(result, &rules.reverse) {
            Ok(None) => return Ok(()),
            Ok(Some(_)) if !known => Err(Unfit::NoLeave("a question in answer to this method")),
            Ok(Some(asked)) if u32::try_from(asked.caller.len()).is_ok_and(|it| it <= most) => {
                Ok(asked)
            }
            Ok(Some(_)) => Err(Unfit::NoLeave("more questions at once than are allowed")),
            Err(unfit) => Err(unfit),
        };
        // The caller would see another key, and could answer none that its callee knows.
        let instance = call.instance.ok_or(Refusal::Gone)?;
        let asked = asked.and_then(|asked| {
            let tells = asked.caller.iter().any(|key| self.tells_in(instance, key));
            if tells { Err(Unfit::Malformed) } else { Ok(asked) }
        });
        let passed = asked.as_ref().is_ok_and(|asked| !asked.caller.is_empty());
        let event = match &asked {
            Ok(_) => Some(Event::AskedBack).filter(|_| passed),
            Err(Unfit::NoLeave(_)) => Some(Event::AskedInVain),
            Err(Unfit::Malformed | Unfit::TooLong) => None,
        };
        self.out.extend(event.map(|event| Output::Record(self.call_record(id, event))));
        let word = self.hold(id, asked.map_err(refusal)?, expires).ok_or(Refusal::Gone)?;
        result.set(STATE, word.into());
        Ok(())
    }

    /// Looks at an error whether it asks something back.
    pub(super) fn asked_by_error(&mut self, id: CallId, error: &Value) -> Result<(), Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::Gone)?;
        let (rules, _, callee) = self.rules(call.edge).ok_or(Refusal::Gone)?;
        let malformed = refusal(Unfit::Malformed);
        let Some(error) = error.as_object() else { return Err(malformed) };
        if callee.speaks == Speaks::JsonRpc {
            return Ok(());
        }
        let asks = input::asks_by_error(error).map_err(refusal)?;
        if asks && !rules.reverse.contains(&Reverse::Elicitation) {
            let record = self.call_record(id, Event::AskedInVain);
            self.out.push(Output::Record(record));
            return Err(Refusal::AsksBack("elicitation/create"));
        }
        Ok(())
    }

    /// Holds what was asked, until the caller comes back with this word.
    fn hold(&mut self, id: CallId, asked: Asked, expires: Moment) -> Option<String> {
        let call = self.calls.get(&id)?;
        let held = call.kept() + asked.weight();
        let round = Round {
            instance: call.instance?,
            method: call.method.clone(),
            first: call.first,
            chains: call.chains.clone(),
            asked,
            expires,
            held,
        };
        let by = call.origin.connection()?;
        let rounds = &self.connections.get(&by)?.rounds;
        let oldest = rounds.keys().next().copied().filter(|_| rounds.len() >= MOST);
        if let Some(oldest) = oldest {
            self.take_up(by, oldest);
        }
        let connection = self.connections.get_mut(&by)?;
        connection.last_round += 1;
        let number = connection.last_round;
        connection.rounds.insert(number, round);
        self.timers.insert((expires, Timer::Round(by, number)));
        self.weighed = self.weighed.saturating_add(held);
        Some(format!("{WORD}{number}"))
    }

    /// What is held of a connection under a number is held no more.
    pub(super) fn take_up(&mut self, id: ConnectionId, number: u64) -> Option<Round> {
        let round = self.connections.get_mut(&id)?.rounds.remove(&number)?;
        self.timers.remove(&(round.expires, Timer::Round(id, number)));
        Some(round)
    }

    /// Nor anything else of it.
    pub(super) fn forget_rounds(&mut self, id: ConnectionId) {
        let rounds = self.connections.get_mut(&id).map(|it| std::mem::take(&mut it.rounds));
        for (number, round) in rounds.into_iter().flatten() {
            self.timers.remove(&(round.expires, Timer::Round(id, number)));
        }
    }

    /// Takes up what was held for a request that is made again; nothing where it is made for the first time. A word
    /// that was said once is good for nothing more, whether or not it belonged to this request.
    pub(super) fn made_again(
        &mut self,
        id: CallId,
        params: &mut Object,
    ) -> Result<Option<Asked>, Refusal> {
        let word = params.remove(STATE);
        let answers = params.get(RESPONSES);
        if word.is_none() && answers.is_none() {
            return Ok(None);
        }
        let unasked = Refusal::Params(UNASKED);
        let by = self.calls.get(&id).and_then(|call| call.origin.connection());
        let number = word.as_ref().and_then(Value::as_str).and_then(number);
        let round = by.zip(number).and_then(|(by, number)| self.take_up(by, number));
        let (Some(round), Some(call)) = (round, self.calls.get(&id)) else { return Err(unasked) };
        let connection = by.and_then(|by| self.connections.get(&by));
        let same = call.era == Era::Modern
            && round.method == call.method
            && round.first == call.first
            && round.chains == call.chains
            && connection.is_some_and(|it| it.instance == Some(round.instance))
            && round.expires > self.now;
        let none = Value::Object(Object::default());
        if same && round.asked.is_answered_by(answers.unwrap_or(&none)) {
            Ok(Some(round.asked))
        } else {
            Err(unasked)
        }
    }
}

/// The number of a word of ours.
fn number(word: &str) -> Option<u64> {
    let number = word.strip_prefix(WORD)?.parse().ok()?;
    (format!("{WORD}{number}") == word).then_some(number)
}

fn refusal(unfit: Unfit) -> Refusal {
    match unfit {
        Unfit::Malformed => Refusal::BadReply("The answer does not follow the protocol."),
        Unfit::TooLong => Refusal::BadReply("The answer keeps more with its caller than is held."),
        Unfit::NoLeave(what) => Refusal::AsksBack(what),
    }
}

/// Over the parameters of a request: of all that its caller says by it, and of what is the same when it is made
/// again with answers.
pub(super) fn digests(body: &Object, speaks: Speaks) -> ([u8; 32], [u8; 32]) {
    let params = body.get("params").unwrap_or(&Value::Null);
    if speaks != Speaks::Mcp {
        let all = json::digest(params, &["_meta"]);
        return (all, all);
    }
    // The state is a word of ours, which says nothing.
    let all = json::digest(params, &["_meta", STATE]);
    let answers = params.as_object().is_some_and(|params| params.get(RESPONSES).is_some());
    let first = if answers { json::digest(params, &["_meta", STATE, RESPONSES]) } else { all };
    (all, first)
}
