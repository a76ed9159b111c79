//! What was called in a run and what was refused, counted of what the broker tells: in words of the plan and of
//! the broker's closed lists, and by names of tools that their callee has. It is for whoever asks once the run is
//! over; what is enforced and written down does not depend on it.

use sandboxd_broker_plan::Edge;
use sandboxd_broker_plan::meant::Meant;
use sandboxd_broker_plan::record::{Event, Method, Outcome, Record, Rule, What};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many tools are remembered of each edge that were called, and so many that were refused: neither takes the
/// other's room, nor one edge's another's.
const MOST: usize = 512;

/// What stands in the place of a rule where there is no edge.
const NO_EDGE: &str = "no_edge";

/// What came of the calls over an edge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Called {
    /// The profile that called.
    pub caller: String,
    /// What it calls the edge; empty where it has none such.
    pub edge: String,
    /// The profile of what it called.
    pub callee: String,
    /// How many calls were passed on.
    pub passed_on: u64,
    /// Tools that were called.
    pub tools: Vec<String>,
    /// Entries of the plan that others were called by, by the key of their list.
    pub others: BTreeMap<String, Vec<String>>,
    /// What was refused.
    pub refused: Vec<RefusedCall>,
}

/// Calls that were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedCall {
    /// What was asked for.
    pub method: String,
    /// The rule, as it stands in the audit log.
    pub rule: String,
    /// How often.
    pub times: u64,
    /// Tools that were meant, of those that the callee has.
    pub tools: Vec<String>,
}

/// What is known so far, by the edge's place in the plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<BTreeMap<Option<u32>, Called>>>);

impl Tally {
    /// Counts what happened, over this edge or none.
    pub(super) fn record(&self, told: &Record, edge: Option<&Edge>, caller: &str) {
        let Some((method, rule)) = reason(&told.event) else { return };
        let mut all = self.all();
        let called = all.entry(told.edge).or_insert_with(|| called(edge, caller));
        match (rule, &told.event) {
            (None, Event::Allowed(what)) => called.pass_on(what, edge),
            (None, _) => {}
            (Some(rule), _) => called.refuse(method, rule, |refused| refused.times += 1),
        }
    }

    /// Remembers which tool was meant.
    pub(super) fn meant(&self, meant: &Meant, edge: &Edge) {
        let mut all = self.all();
        let called = all.entry(Some(meant.edge)).or_insert_with(|| called(Some(edge), ""));
        let tool = meant.tool.as_str();
        match meant.refused {
            None if called.forgot_used() => {}
            None => add(&mut called.tools, tool),
            Some(_) if called.forgot_refused() => {}
            Some(rule) => called.refuse(Method::ToolsCall.text(), rule.text(), |refused| {
                add(&mut refused.tools, tool);
            }),
        }
    }

    /// What is known by now.
    pub(crate) fn so_far(&self) -> Vec<Called> {
        self.all().values().cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Option<u32>, Called>> {
        // Whoever panics ends this process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Called {
    fn pass_on(&mut self, what: &What, edge: Option<&Edge>) {
        self.passed_on += 1;
        let key = match what.method {
            Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
                "resources"
            }
            Method::PromptsGet => "prompts",
            Method::Named => "methods",
            // Of tools the names are told, and nothing else has any.
            Method::ToolsCall
            | Method::Initialize
            | Method::Discover
            | Method::ToolsList
            | Method::ResourcesList
            | Method::TemplatesList
            | Method::PromptsList
            | Method::Complete
            | Method::Listen
            | Method::Ping
            | Method::SetLevel => return,
        };
        let list = edge.map(|edge| what.method.names(&edge.reach)).unwrap_or_default();
        let place = what.name.and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| list.get(place)) {
            add(self.others.entry(key.to_owned()).or_default(), entry.as_str());
        }
    }

    fn refuse(&mut self, method: &str, rule: &str, change: impl FnOnce(&mut RefusedCall)) {
        let mut known = self.refused.iter_mut();
        if let Some(one) = known.find(|one| one.method == method && one.rule == rule) {
            return change(one);
        }
        let (method, rule) = (method.to_owned(), rule.to_owned());
        let mut one = RefusedCall { method, rule, times: 0, tools: Vec::new() };
        change(&mut one);
        self.refused.push(one);
    }

    /// Whether more tools may have been called than are known.
    pub(crate) fn forgot_used(&self) -> bool {
        self.tools.len() >= MOST
    }

    /// Whether more tools may have been refused than are known.
    pub(crate) fn forgot_refused(&self) -> bool {
        self.refused.iter().map(|one| one.tools.len()).sum::<usize>() >= MOST
    }
}

/// By which method, and by which rule where it is a refusal; nothing of what is neither a call nor one. What its
/// caller took back was not refused.
fn reason(event: &Event) -> Option<(&'static str, Option<&'static str>)> {
    let (method, rule) = match event {
        Event::Allowed(what) => return what.method.is_call().then(|| (what.method.text(), None)),
        Event::Refused(what, rule) => (what.method.text(), *rule),
        Event::Finished { outcome: Outcome::By(rule), .. } => ("", *rule),
        Event::NoEdge => return Some(("", Some(NO_EDGE))),
        Event::Finished { outcome: Outcome::Answered | Outcome::Failed, .. }
        | Event::Approved(..)
        | Event::Denied(..)
        | Event::Malformed
        | Event::Struck
        | Event::Overfull
        | Event::Quarantined
        | Event::BreakerOpened
        | Event::ToolPinned(_)
        | Event::ToolChanged(_)
        | Event::ToolUncheckable(_)
        | Event::ToolTells(_)
        | Event::AskedBack
        | Event::AskedInVain
        | Event::Stray(_) => return None,
    };
    (rule != Rule::Cancelled).then(|| (method, Some(rule.text())))
}

fn called(edge: Option<&Edge>, caller: &str) -> Called {
    match edge {
        Some(edge) => Called {
            caller: edge.caller.to_string(),
            edge: edge.name.to_string(),
            callee: edge.callee.to_string(),
            ..Called::default()
        },
        None => Called { caller: caller.to_owned(), ..Called::default() },
    }
}

fn add(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::seen::ToolName;
    use sandboxd_profiles::{Document, Folders, graph};

    const AGENT: &str = "name = \"agent\"\ncommand.exec = [\"/bin/true\"]\nfiles.execute = [\"/usr\"]\n[call.hub]\n\
        profile = \"hub.toml\"\ntools = [\"*\"]\nresources = [\"file:///a*\"]";
    const HUB: &str = "name = \"hub\"\ncommand.exec = [\"/bin/true\"]\nfiles.execute = [\"/usr\"]\nserve.tools = [\"*\"]\n\
        serve.resources = [\"*\"]";

    fn edge() -> Edge {
        let document = |name: &str, text: &str| Document {
            name: name.into(),
            folder: sandboxd_plan::HostPath::try_from("/p").ok(),
            text: text.into(),
        };
        let first = vec![document("agent.toml", AGENT)];
        let graph = graph::load(first, &Folders::default(), &mut |_| Ok(document("hub.toml", HUB)));
        graph.unwrap().plan("case").unwrap().edges.remove(0)
    }

    fn told(event: Event) -> Record {
        Record { edge: Some(0), connection: 1, instance: 1, call: 1, event }
    }

    #[test]
    fn what_was_called_and_refused_is_counted_and_named_but_not_without_end() {
        let (tally, edge) = (Tally::default(), edge());
        let what = |method| What { method, name: Some(0), digest: [0; 32], bytes: 1, secrets: 0 };
        let refused = |rule| Event::Refused(What { name: None, ..what(Method::ToolsCall) }, rule);
        let late = Event::Finished { outcome: Outcome::By(Rule::Deadline), bytes: 0, millis: 1 };
        for event in [
            Event::Allowed(what(Method::ToolsCall)),
            Event::Allowed(what(Method::ToolsList)),
            Event::Allowed(what(Method::ResourcesRead)),
            refused(Rule::Reach),
            refused(Rule::Reach),
            refused(Rule::Cancelled),
            late,
        ] {
            tally.record(&told(event), Some(&edge), "agent");
        }
        let meant = |edge_number, refused, number: usize| {
            let tool = ToolName::try_from(format!("t{number}").as_str()).unwrap();
            tally.meant(&Meant { edge: edge_number, refused, tool }, &edge);
        };
        // However much is refused, and of whatever edge, what is used is known.
        for number in (0..MOST * 2).flat_map(|number| [number, number]) {
            meant(0, Some(Rule::Reach), number);
        }
        assert!(tally.so_far()[0].forgot_refused() && !tally.so_far()[0].forgot_used());
        for number in 0..MOST * 2 {
            meant(0, None, number);
        }
        meant(1, None, 0);
        let all = tally.so_far();
        let [called, other] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(other.tools, ["t0"]);
        assert!(called.forgot_used());
        assert_eq!((called.passed_on, called.tools.len()), (2, MOST));
        assert_eq!(
            called.others,
            BTreeMap::from([("resources".into(), vec!["file:///a*".into()])])
        );
        let known =
            called.refused.iter().map(|one| (one.rule.as_str(), one.times, one.tools.len()));
        let known: Vec<_> = known.collect();
        assert_eq!(known, [("reach", 2, MOST), ("deadline", 1, 0)]);
        tally.record(&Record { edge: None, ..told(Event::NoEdge) }, None, "agent");
        assert_eq!(tally.so_far()[0].refused[0].rule, "no_edge");
    }
}
