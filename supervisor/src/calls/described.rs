//! What the broker says of a call, as a record of the log: its kind, its words, and whether it is written down each time.

use sandboxd_audit::encode::hex;
use sandboxd_audit::record::Actor;
use sandboxd_audit::{Kind, Record};
use sandboxd_broker_plan::record::{Event, Method, Outcome, Rule, Tool, What};
use sandboxd_broker_plan::{Edge, Pattern};
use serde_json::json;

/// What must not keep something else from being written down: what comes so often is counted by what it says, and for
/// connections by whose they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sort {
    agent: String,
    /// The sandbox; nothing where the broker tells it, whose limits are those of all that are of the profile.
    sandbox: Option<String>,
    of: &'static str,
    rule: Option<String>,
}

impl Sort {
    pub(super) fn of(record: &Record) -> Self {
        let actor = record.actor.as_ref();
        let agent = actor.map(|actor| actor.agent.clone()).unwrap_or_default();
        let sandbox = actor.filter(|_| record.kind == Kind::Connected);
        let sandbox = sandbox.and_then(|actor| actor.instance.clone());
        Self { agent, sandbox, of: record.kind.name(), rule: record.rule.clone() }
    }

    /// That there were so many more.
    pub(super) fn left_out(&self, records: u64) -> Record {
        let mut record = Record::of(Kind::LeftOut);
        let (agent, instance) = (self.agent.clone(), self.sandbox.clone());
        record.actor = Some(Actor { agent, instance, ..Actor::default() });
        record.rule.clone_from(&self.rule);
        record.result = json!({ "records": records, "of": self.of });
        record
    }
}

pub(super) const fn kind(event: &Event) -> Kind {
    match event {
        Event::Allowed(_) | Event::Refused(..) => Kind::Call,
        Event::Approved(..) | Event::Denied(..) => Kind::Approval,
        Event::Finished { .. } => Kind::Answered,
        Event::Malformed
        | Event::NoEdge
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
        | Event::Stray(_) => Kind::Noticed,
    }
}

/// Whether the plan itself bounds it, or a person did it: it is written down each time.
pub(super) const fn is_bounded(event: &Event) -> bool {
    matches!(
        event,
        Event::Allowed(_) | Event::Finished { .. } | Event::Approved(..) | Event::Denied(..)
    )
}

/// Puts into a record what happened.
pub(super) fn describe(
    record: &mut Record,
    event: &Event,
    edge: Option<&Edge>,
) -> Result<(), String> {
    let rule = match event {
        Event::Allowed(what) | Event::Approved(what, _) => {
            record.decision = Some("allowed");
            return called(record, what, edge);
        }
        Event::Denied(what, _) => {
            record.decision = Some("refused");
            return called(record, what, edge);
        }
        Event::Refused(what, rule) => {
            record.decision = Some("refused");
            record.rule = Some(rule.text().to_owned());
            return called(record, what, edge);
        }
        Event::Finished { outcome, bytes, millis } => {
            record.rule = ended_by(*outcome).map(|rule| rule.text().to_owned());
            record.result = json!({ "status": status(*outcome), "bytes": bytes, "ms": millis });
            return Ok(());
        }
        Event::Malformed => "malformed",
        Event::NoEdge => "no_edge",
        Event::Struck => "struck",
        Event::Overfull => "overfull",
        Event::Quarantined => "quarantined",
        Event::BreakerOpened => "breaker_opened",
        Event::ToolPinned(tool) => return defined(record, "tool_pinned", tool, edge),
        Event::ToolChanged(tool) => return defined(record, "tool_changed", tool, edge),
        Event::ToolUncheckable(tool) => return defined(record, "tool_uncheckable", tool, edge),
        Event::ToolTells(tool) => return defined(record, "tool_tells_secret", tool, edge),
        Event::AskedBack => "asked_back",
        Event::AskedInVain => "asked_in_vain",
        Event::Stray(count) => {
            record.result = json!({ "count": count });
            "stray"
        }
    };
    record.rule = Some(rule.to_owned());
    Ok(())
}

fn called(record: &mut Record, what: &What, edge: Option<&Edge>) -> Result<(), String> {
    let Some(edge) = edge else { return Err(String::from("reported a call over no edge")) };
    let list = what.method.names(&edge.reach);
    let named = what.name.map(|place| name(list, place)).transpose()?;
    if what.method == Method::Named {
        record.method = named;
    } else {
        record.method = Some(what.method.text().to_owned());
        record.tool = named;
    }
    record.args_sha256 = Some(hex(&what.digest));
    record.args_bytes = Some(what.bytes);
    Ok(())
}

fn defined(
    record: &mut Record,
    rule: &str,
    tool: &Tool,
    edge: Option<&Edge>,
) -> Result<(), String> {
    let Some(edge) = edge else { return Err(String::from("reported a tool over no edge")) };
    record.rule = Some(rule.to_owned());
    record.tool = tool.name.map(|place| name(&edge.reach.tools, place)).transpose()?;
    record.result = json!({ "sha256": hex(&tool.digest) });
    Ok(())
}

/// What the operator wrote there: a name, or a pattern that has the name.
fn name(list: &[Pattern], place: u32) -> Result<String, String> {
    let found = usize::try_from(place).ok().and_then(|place| list.get(place));
    found.map(ToString::to_string).ok_or_else(|| String::from("reported an invalid name"))
}

const fn ended_by(outcome: Outcome) -> Option<Rule> {
    match outcome {
        Outcome::Answered | Outcome::Failed => None,
        Outcome::By(rule) => Some(rule),
    }
}

const fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => "answered",
        Outcome::Failed => "error",
        Outcome::By(_) => "ended",
    }
}
