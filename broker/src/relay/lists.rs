//! Lists of a callee's: what of them a caller sees, and which tools are what they were accepted as.

use super::{CallId, InstanceId, Output, Relay};
use crate::{
    json::{Object, Value},
    mcp::{
        list::{self, Listed},
        method::Target,
        pins::{self, Seen},
        words::words,
    },
};
use sandboxd_broker_plan::record::Event;
use sandboxd_broker_plan::seen as kept;
use std::collections::BTreeMap;

impl Relay {
    /// Takes out of a list what the edge does not have, and tools that are not what they were.
    pub(super) fn filter(&mut self, id: CallId, listed: Listed, result: &mut Object) {
        let accepted = self.accepted(id, listed, result);
        if listed == Listed::Tools {
            self.only_checkable(id, result);
        }
        let Some(call) = self.calls.get(&id) else { return };
        let Some((edge, _, rules)) = self.rules(call.edge) else { return };
        list::filter(listed, result, |entry| {
            let Some(name) = listed.name(entry) else { return false };
            match listed {
                Listed::Tools => {
                    self.reaches(call, &Target::Tool(name.to_owned()))
                        && accepted.get(name) == Some(&true)
                }
                Listed::Resources => self.reaches(call, &Target::Resource(name.to_owned())),
                Listed::Prompts => self.reaches(call, &Target::Prompt(name.to_owned())),
                Listed::Templates => [&edge.reach.resources, &rules.serves.resources]
                    .iter()
                    .all(|has| has.iter().any(|pattern| list::may_stand_for(name, pattern))),
            }
        });
        if let (Some(instance), Listed::Tools) = (call.instance, listed) {
            self.compare(instance, &accepted, result);
        }
    }

    /// The tools of a list, and whether they are what they were accepted as. One that is there twice is
    /// that where it is so both times: nobody knows which of two its callee means.
    pub(super) fn accepted(
        &mut self,
        id: CallId,
        listed: Listed,
        result: &Object,
    ) -> BTreeMap<String, bool> {
        let mut accepted = BTreeMap::new();
        let entries = result.get(listed.key()).and_then(Value::as_array).unwrap_or(&[]);
        let tools = entries.iter().filter(|_| listed == Listed::Tools).filter_map(Value::as_object);
        for entry in tools {
            let Some(name) = listed.name(entry) else { continue };
            let same = self.see(id, name, entry);
            let all = accepted.entry(name.to_owned()).or_insert(true);
            *all &= same;
        }
        accepted
    }

    /// Where a caller was shown another list than is known, it is asked for anew before the next call: a tool that
    /// changed is not there from then on, and one that is what it was is there again.
    fn compare(&mut self, id: InstanceId, accepted: &BTreeMap<String, bool>, shown: &Object) {
        let Some(instance) = self.instances.get(&id) else { return };
        let is_known = |name: &str| instance.tools.get(name).is_some();
        let shown = shown.get(Listed::Tools.key()).and_then(Value::as_array).unwrap_or(&[]);
        let mut shown = shown.iter().filter_map(|entry| Listed::Tools.name(entry.as_object()?));
        let differs = accepted.iter().any(|(name, same)| !same && is_known(name))
            || shown.any(|name| !is_known(name));
        if differs && self.knows(id, Listed::Tools) {
            self.unknown(id, Listed::Tools);
        }
    }

    /// Holds the definition of a tool to its pin: whether it is what was accepted.
    fn see(&mut self, id: CallId, tool: &str, entry: &Object) -> bool {
        let from = self.calls.get(&id).and_then(|call| call.instance);
        if from.is_some_and(|from| self.tells(from, entry)) {
            // It would be kept, and shown to whoever looks at what is.
            return false;
        }
        let callee = self.calls.get(&id).and_then(|call| Some(self.rules(call.edge)?.1));
        let reached = callee.is_some_and(|it| self.is_reached(it, &Target::Tool(tool.to_owned())));
        let known = callee.and_then(|callee| Some((callee, self.callees.get_mut(callee)?)));
        let Some((callee, state)) = known else { return false };
        let (changed, digest) = match state.pins.see(tool, entry, reached) {
            Seen::Same => return true,
            Seen::Hidden => return false,
            Seen::Full(digest) => {
                let event = Event::ToolUncheckable(self.tool(id, tool, digest));
                self.out.push(Output::Record(self.call_record(id, event)));
                return false;
            }
            Seen::New(digest) => (false, digest),
            Seen::Changed(digest) => (true, digest),
        };
        let of = u32::try_from(callee).unwrap_or(u32::MAX);
        let seen = kept::Seen { callee: of, changed, digest, tool: pins::name(tool) };
        self.out.push(Output::Seen(seen, words(entry)));
        let tool = self.tool(id, tool, digest);
        let event = if changed { Event::ToolChanged(tool) } else { Event::ToolPinned(tool) };
        let record = self.call_record(id, event);
        self.out.push(Output::Record(record));
        !changed
    }
}
