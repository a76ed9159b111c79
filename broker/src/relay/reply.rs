//! What a callee answers: whose answer it is, whether it is one, and what of it the caller may see.

use super::{
    CallId, InstanceId, Output, Relay,
    state::{Origin, Stage},
};
use crate::{
    frame::Frame,
    json::{self, Object, Value},
    mcp::{
        Era,
        catalogue::Catalogue,
        list::{self, Listed},
        method::{Asks, Target},
        pins,
    },
    refusal::Refusal,
    rpc::{self, Id, Kind},
};
use sandboxd_broker_plan::Speaks;
use sandboxd_broker_plan::record::{Event, Outcome};

pub(super) const AMBIGUOUS: &str = "The answer has keys that differ only in case.";

/// Keys of a result that something is taken out of.
pub(super) const MEANT: &[&str] =
    &["tools", "resources", "resourceTemplates", "prompts", "instructions", "_meta"];

impl Relay {
    pub(super) fn callee_wrote(&mut self, id: InstanceId, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(instance) = self.instances.get_mut(&id)
            && let Some((frame, after)) = instance.lines.push(rest)
        {
            rest = after;
            match frame {
                Frame::TooLong => self.too_long(id),
                Frame::Line(line) if line.iter().all(u8::is_ascii_whitespace) => {}
                Frame::Line(line) => self.callee_line(id, &line),
            }
        }
    }

    /// An answer that was too long to be held is an answer to nobody knows what: where one is
    /// awaited, it was that; where several are, the instance cannot go on.
    fn too_long(&mut self, id: InstanceId) {
        match self.waiting(id, Stage::Sent).as_slice() {
            [] => self.stray(id),
            [one] => self.refuse(*one, Refusal::TooLong),
            _ => self.stop(id, &Refusal::TooLong),
        }
    }

    fn callee_line(&mut self, id: InstanceId, line: &[u8]) {
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let message = json::parse(line).ok().and_then(|value| rpc::message(value).ok());
        let Some(message) = message else { return self.stray(id) };
        match message.kind {
            Kind::Response { id: answer } => self.reply(id, &answer, message.body, size),
            Kind::Notification { method } => self.told(id, &method, message.body),
            Kind::Request { id: asked, method } => {
                self.asked_back(id, asked, &method, message.body)
            }
        }
    }

    /// What is no message, or answers nothing: dropped and counted. A callee that does nothing else
    /// is stopped.
    pub(super) fn stray(&mut self, id: InstanceId) {
        let Some(instance) = self.instances.get_mut(&id) else { return };
        instance.stray = instance.stray.saturating_add(1);
        let (count, callee) = (instance.stray, instance.callee);
        let most = self.plan.callees.get(callee).map_or(0, |callee| callee.stray_lines);
        // Each time twice as many as before: a record for each would be a way to fill the disk.
        if count.is_power_of_two() || count > most {
            let record = self.instance_record(id, Event::Stray(count));
            self.out.push(Output::Record(record));
        }
        if count > most {
            self.stop(id, &Refusal::BadReply("The callee sent an invalid message."));
        }
    }

    fn reply(&mut self, instance: InstanceId, answer: &Id, mut body: Object, size: u64) {
        let id = answer.number().map(CallId);
        let call = id.and_then(|id| Some((id, self.calls.get(&id)?)));
        let Some((id, call)) = call.filter(|(_, call)| call.instance == Some(instance)) else {
            return self.stray(instance);
        };
        match call.stage {
            Stage::Sent => {}
            // It came after it was cancelled.
            Stage::Draining | Stage::GivenUp => {
                self.shaken_for_others(id, &body);
                return self.forget(id);
            }
            Stage::Starting
            | Stage::Looking
            | Stage::Held(_)
            | Stage::Queued
            | Stage::Recording => {
                return self.stray(instance);
            }
        }
        match call.origin {
            Origin::Catalogue(listed) => {
                let result = body.remove("result");
                return self.page(id, instance, listed, result);
            }
            // A process that does not answer it as one works without, or says so.
            Origin::Greeting => {
                self.shaken_for_others(id, &body);
                return self.forget(id);
            }
            Origin::Caller { .. } | Origin::Note(_) => {}
        }
        // One process for all may write as long a line as any of its edges allows.
        let most = self.plan.edges.get(call.edge).map_or(0, |edge| edge.max_result.0);
        if size > most {
            return self.refuse(id, Refusal::TooLong);
        }
        if let Some(error) = body.remove("error") {
            return match self.asked_by_error(id, &error) {
                Ok(()) => self.failed(id, error, size),
                Err(refusal) => self.refuse(id, refusal),
            };
        }
        let speaks = self.rules(call.edge).map(|(_, _, callee)| callee.speaks);
        let result = body.remove("result").unwrap_or(Value::Null);
        match (speaks, result) {
            (Some(Speaks::JsonRpc), result) => self.passed(id, result, size),
            (_, Value::Object(result)) => match self.seen(id, result) {
                Ok(result) => self.passed(id, result.into(), size),
                Err(refusal) => self.refuse(id, refusal),
            },
            _ => self.refuse(id, Refusal::BadReply("The answer does not follow the protocol.")),
        }
    }

    fn passed(&mut self, id: CallId, result: Value, size: u64) {
        self.answer_keeping(id, "result", result);
        self.finished(id, Outcome::Answered, size, true);
    }

    /// An error of the callee. One that says that there is no such thing is ours, so that it does not
    /// differ from the one for what is hidden.
    fn failed(&mut self, id: CallId, error: Value, size: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        let code = match error.as_object().and_then(|error| error.get("code")) {
            Some(Value::Number(code)) => code.text().parse().unwrap_or(0),
            _ => 0_i64,
        };
        let absent = match (&call.target, code) {
            (Target::Resource(_), -32002 | -32602) => Some(Refusal::Unknown(call.target.clone())),
            (Target::Method(_), -32601) => Some(Refusal::Method),
            _ => None,
        };
        match absent {
            Some(refusal) => self.say_refusal(id, &refusal),
            None => self.answer_keeping(id, "error", error),
        }
        // It answers, so it works; but for an error that says it does not.
        self.finished(id, Outcome::Failed, size, code != -32603);
    }

    pub(super) fn say_refusal(&mut self, id: CallId, refusal: &Refusal) {
        let Some(call) = self.calls.get(&id) else { return };
        if let Origin::Caller { connection, id: answer, .. } = &call.origin {
            let message = refusal.answer(answer.clone(), call.asks, call.era);
            self.tell_caller(*connection, &message);
        }
    }

    fn answer_keeping(&mut self, id: CallId, key: &str, value: Value) {
        let Some(call) = self.calls.get(&id) else { return };
        if let Origin::Caller { connection, id: answer, .. } = &call.origin {
            let value = match call.instance {
                Some(instance) => self.covered(instance, value),
                None => value,
            };
            let message = crate::refusal::response(answer.clone(), key, value);
            self.tell_caller(*connection, &message);
        }
    }

    /// What of a result the caller sees.
    fn seen(&mut self, id: CallId, mut result: Object) -> Result<Object, Refusal> {
        if rpc::ambiguous(&result, MEANT) {
            return Err(Refusal::BadReply(AMBIGUOUS));
        }
        self.asked_by_result(id, &mut result)?;
        let call = self.calls.get(&id).ok_or(Refusal::Gone)?;
        let (asks, era) = (call.asks, call.era);
        match asks {
            Asks::List(listed) => {
                self.filter(id, listed, &mut result);
                list::uncached(era, &mut result);
            }
            Asks::Handshake | Asks::Discover => {
                if asks == Asks::Discover {
                    list::uncached(era, &mut result);
                } else {
                    self.shaken(id, &result)?;
                }
                self.without_instructions(id, &mut result);
            }
            Asks::Resource if era == Era::Modern => list::uncached(era, &mut result),
            Asks::Listen => {
                if let Origin::Caller { id: answer, .. } = &call.origin {
                    let answer = answer.clone();
                    relabel(&mut result, &answer);
                }
            }
            Asks::Tool
            | Asks::Resource
            | Asks::Prompt
            | Asks::Completion
            | Asks::Upkeep
            | Asks::Named => {}
        }
        Ok(result)
    }

    /// A page of what an instance has, asked for by the broker itself.
    fn page(&mut self, id: CallId, instance: InstanceId, listed: Listed, result: Option<Value>) {
        let Some(Value::Object(result)) = result else {
            self.forget(id);
            return self.catalogue_failed(Some(instance), listed, &Refusal::Gone);
        };
        let accepted = self.accepted(id, listed, &result);
        let entries = result.get(listed.key()).and_then(Value::as_array).unwrap_or(&[]);
        let mut left = self.compiles(instance);
        for entry in entries.iter().filter_map(Value::as_object) {
            if let Some(name) = listed.name(entry) {
                let accepted = listed != Listed::Tools || accepted.get(name) == Some(&true);
                self.remember(id, (instance, listed), (name, entry), accepted, &mut left);
            }
        }
        let cursor = self.catalogue(instance, listed).and_then(|known| known.page(&result));
        let waiting = self.looking(instance, listed);
        self.forget(id);
        match (cursor, waiting.first()) {
            (Some(cursor), Some(like)) => self.ask_for(*like, instance, listed, Some(cursor)),
            // Nobody waits any more; whoever comes next asks anew.
            (Some(_), None) => self.unknown(instance, listed),
            (None, _) => waiting.into_iter().for_each(|call| self.decide(call)),
        }
    }

    /// What is called is held to what was accepted, and what was not is not called.
    fn remember(
        &mut self,
        id: CallId,
        (instance, listed): (InstanceId, Listed),
        (name, entry): (&str, &Object),
        accepted: bool,
        left: &mut usize,
    ) {
        // A digest of what has a secret would let whoever reads it guess that.
        let covered = self.covered_object(instance, entry.clone());
        let tells = covered != *entry;
        if (tells || !accepted)
            && let Some(known) = self.catalogue(instance, listed)
        {
            known.refuse(name);
        }
        if !tells && !accepted {
            return;
        }
        match self.schema(instance, listed, entry, left) {
            Ok(schema) if !tells => {
                if let Some(known) = self.catalogue(instance, listed) {
                    known.add(name.to_owned(), schema);
                }
            }
            Ok(_) | Err(_) => {
                let tool = self.tool(id, name, pins::digest(&covered));
                let event =
                    if tells { Event::ToolTells(tool) } else { Event::ToolUncheckable(tool) };
                let record = self.call_record(id, event);
                self.out.push(Output::Record(record));
            }
        }
    }

    /// Calls of an instance that wait for a list.
    fn looking(&self, instance: InstanceId, listed: Listed) -> Vec<CallId> {
        let waiting = self.waiting(instance, Stage::Looking).into_iter();
        waiting
            .filter(|id| {
                let target = self.calls.get(id).map(|call| &call.target);
                matches!(target, Some(Target::Prompt(_))) == (listed == Listed::Prompts)
            })
            .collect()
    }

    pub(super) fn unknown(&mut self, instance: InstanceId, listed: Listed) {
        if let Some(known) = self.catalogue(instance, listed) {
            *known = Catalogue::Unknown;
        }
    }

    /// The callee has no such list, or did not answer. Whoever waits is told that there is nothing
    /// with that name; it is asked again with the next call.
    pub(super) fn catalogue_failed(
        &mut self,
        instance: Option<InstanceId>,
        listed: Listed,
        refusal: &Refusal,
    ) {
        let Some(instance) = instance else { return };
        self.unknown(instance, listed);
        for id in self.looking(instance, listed) {
            let target = self.calls.get(&id).map(|call| call.target.clone());
            match (refusal, target) {
                (Refusal::Gone, Some(target)) if self.instances.contains_key(&instance) => {
                    self.refuse(id, Refusal::Unknown(target));
                }
                _ => self.refuse(id, refusal.clone()),
            }
        }
    }
}

/// Gives what belongs to a subscription the number that its caller knows it by.
pub(super) fn relabel(object: &mut Object, answer: &Id) {
    const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
    if let Some(Value::Object(meta)) = object.get_mut("_meta")
        && meta.get(SUBSCRIPTION).is_some()
    {
        meta.set(SUBSCRIPTION, answer.clone().into());
    }
}
