//! What is written down of calls: who connected, as the kernel told; and what the broker says that it
//! decided, held against the plan that it was given.
//!
//! The broker's word is all there is about a verdict. So what it says must fit: an edge of the plan, a
//! connection of that edge's caller, an instance of its callee, no more calls than the plan's rates let
//! be. And whatever an agent can bring about as often as it likes is written down only so often, and then
//! counted.

use super::described::{Sort, describe, is_bounded, kind};
use super::endpoint::Peer;
use super::tally::Tally;
use crate::control::Approvers;
use crate::pace::Pace;
use crate::sandbox::{Audit, Unawaited};
use sandboxd_audit::record::{Actor, CallOf};
use sandboxd_audit::{AuditError, Commit, Durability, Kind, Record};
use sandboxd_broker::limit::Position;
use sandboxd_broker_plan::meant::Meant;
use sandboxd_broker_plan::record::{Event, Record as Told};
use sandboxd_broker_plan::{BrokerPlan, Durability as Wanted, Edge, Name, Placeholder};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;

/// How many sorts of records are told apart before those that rest are forgotten.
const SORTS: usize = 1024;

/// What is known of a record, beside what the broker says.
pub(crate) struct Known {
    /// The sandbox that called, by its id; nothing where it is gone, or none is meant.
    pub(crate) sandbox: Option<String>,
    /// The profiles that led here, whoever called last; and whether the first of them is one process for several, so that
    /// nobody knows who led to it.
    pub(crate) chain: Vec<String>,
    pub(crate) for_several: bool,
    /// The profile that the instance is of, where it lives.
    pub(crate) callee: Option<String>,
    /// The sandbox of that instance, by its id, where it is the only one.
    pub(crate) called: Option<String>,
}

/// A connection, let in or not.
pub(super) struct Knock {
    /// The profile whose endpoint it came to.
    pub(super) caller: String,
    /// The sandbox of that endpoint.
    pub(super) sandbox: String,
    /// Its number; 0 where it was not let in.
    pub(super) connection: u64,
    /// Who it is, as the kernel told; nothing where it told nothing.
    pub(super) peer: Option<Peer>,
    /// Why it was not let in.
    pub(super) refused: Option<&'static str>,
}

/// What became of a record.
pub(crate) enum Written {
    /// Nobody waits for it.
    Yes,
    /// A call waits for it, and goes on once it is on the disk.
    Waits(u64, Commit),
    /// A call waits for it, and cannot go on.
    Not(u64),
}

/// Writes records of one broker.
pub(crate) struct Records {
    log: Unawaited,
    approvers: Approvers,
    edges: Vec<Edge>,
    callees: Vec<String>,
    /// Secrets that stand in arguments, by callers.
    secrets: BTreeMap<Name, Vec<Name>>,
    /// Calls that were passed on, and may not be more than the plan lets be; nothing where it sets no limit.
    calls: Option<Pace>,
    open: u64,
    /// What came of all calls.
    tally: Tally,
    /// What an agent brings about as often as it likes, and how many of that were left out.
    often: BTreeMap<Sort, (Pace, u64)>,
}

impl Records {
    pub(crate) fn new(audit: Audit, plan: &BrokerPlan, approvers: Approvers) -> Self {
        let lists: Vec<_> = plan.callers.iter().map(|caller| caller.lists).collect();
        Self {
            log: Unawaited::new(audit, "calls"),
            approvers,
            edges: plan.edges.clone(),
            callees: plan.callees.iter().map(|callee| callee.name.to_string()).collect(),
            secrets: plan
                .callers
                .iter()
                .map(|caller| (caller.name.clone(), caller.secrets.clone()))
                .collect(),
            calls: Pace::of_calls(plan.limits.rate, &lists),
            open: 0,
            tally: Tally::default(),
            often: BTreeMap::new(),
        }
    }

    /// Writes what the broker told, with what it tells next: see [`Records::settle`].
    ///
    /// # Errors
    /// Where it says what cannot be.
    pub(crate) fn told(&mut self, told: &Told, known: Known) -> Result<Written, String> {
        let edge = self.edge(told)?;
        let caller = match (edge, known.chain.last()) {
            (Some(edge), Some(caller)) if edge.caller.as_str() != caller => {
                return Err(String::from("reported an edge for another caller's connection"));
            }
            (Some(edge), _) => edge.caller.to_string(),
            (None, caller) => caller.cloned().unwrap_or_default(),
        };
        if let (Some(edge), Some(callee)) = (edge, &known.callee)
            && edge.callee.as_str() != callee
        {
            return Err(String::from("reported an instance that the edge does not lead to"));
        }
        let mut record = Record::of(kind(&told.event));
        record.actor =
            Some(Actor { agent: caller.clone(), instance: known.sandbox, ..Actor::default() });
        record.chain = known.chain;
        record.edge = edge.map(|edge| edge.name.to_string());
        record.call = Some(CallOf {
            callee: edge.map(|edge| edge.callee.to_string()),
            sandbox: known.called,
            for_several: known.for_several,
            connection: told.connection,
            instance: told.instance,
            number: told.call,
        });
        describe(&mut record, &told.event, edge)?;
        if let (Event::Allowed(what), Some(edge)) = (&told.event, edge)
            && what.secrets != 0
        {
            record.result = json!({ "secrets": self.stood(what.secrets, edge)? });
        }
        if let Event::Approved(_, by) | Event::Denied(_, by) = told.event {
            let who = self.approvers.get(by)?;
            record.result = json!({
                "by": who.map(|who| json!({ "uid": who.uid, "pid": who.pid })),
                "channel": "control",
            });
        }
        self.log.audit().count(&record);
        self.tally.record(told, edge, &caller);
        let durable = edge.is_some_and(|edge| edge.durability == Wanted::Durable);
        if is_bounded(&told.event) {
            return self.passed_on(told, durable, record);
        }
        self.now_and_then(record, Instant::now());
        Ok(Written::Yes)
    }

    /// What a person decided, a call that is passed on, or the end of one.
    fn passed_on(&mut self, told: &Told, durable: bool, record: Record) -> Result<Written, String> {
        if let Event::Allowed(what) = &told.event {
            if self.calls.as_mut().is_some_and(|calls| !calls.admits(Instant::now())) {
                return Err(String::from("reported more calls than are allowed"));
            }
            self.open += 1;
            if durable && what.method.is_call() {
                return Ok(self.durable(told.call, record));
            }
        } else if let Event::Finished { .. } = &told.event {
            self.open =
                self.open.checked_sub(1).ok_or("reported the end of a call that does not exist")?;
        }
        self.log.gather(record);
        Ok(Written::Yes)
    }

    /// Has written what was told and nobody waits for, before anybody is heard again.
    pub(crate) fn settle(&mut self) {
        self.log.settle();
    }

    /// The names of the secrets that stood in a call over this edge.
    fn stood(&self, secrets: u64, edge: &Edge) -> Result<Vec<&Name>, String> {
        let names = self.secrets.get(&edge.caller).map(Vec::as_slice).unwrap_or_default();
        let may = |place: usize| {
            let is_it = |one: &Placeholder| usize::try_from(one.secret) == Ok(place);
            edge.placeholders.iter().any(is_it)
        };
        let stood = (0..64).filter(|place| (secrets >> place) & 1 == 1);
        let name = |place: usize| names.get(place).filter(|_| may(place));
        let names: Option<Vec<_>> = stood.map(name).collect();
        names.ok_or_else(|| String::from("reported a secret that is not used there"))
    }

    /// Remembers which tool a call meant.
    ///
    /// # Errors
    /// Where there is no such edge.
    pub(crate) fn meant(&self, meant: &Meant) -> Result<(), String> {
        self.tally.meant(meant, self.at(meant.edge)?);
        Ok(())
    }

    /// What came of all calls, told as far as it is known.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    fn edge(&self, told: &Told) -> Result<Option<&Edge>, String> {
        told.edge.map(|place| self.at(place)).transpose()
    }

    fn at(&self, place: u32) -> Result<&Edge, String> {
        let edge = usize::try_from(place).ok().and_then(|place| self.edges.get(place));
        edge.ok_or_else(|| format!("reported edge {place}, which does not exist"))
    }

    /// Counts what a callee has before it. Nothing is written down of that.
    ///
    /// # Errors
    /// Where there is no such callee.
    pub(crate) fn load(&self, callee: u64, calls: u64, breaker: Position) -> Result<(), String> {
        let name = usize::try_from(callee).ok().and_then(|place| self.callees.get(place));
        let name = name.ok_or_else(|| format!("reported callee {callee}, which does not exist"))?;
        self.log.audit().load(name, calls, breaker);
        Ok(())
    }

    /// Writes what is no word of the broker's, at once.
    pub(super) fn write(&mut self, record: Record) {
        self.log.audit().count(&record);
        self.log.write(record);
    }

    /// Writes that somebody connected, or was not let in.
    pub(super) fn knocked(&mut self, knock: Knock) {
        let Knock { caller, sandbox, connection, peer, refused } = knock;
        let mut record = Record::of(Kind::Connected);
        record.decision = Some(if refused.is_some() { "refused" } else { "allowed" });
        record.rule = refused.map(str::to_owned);
        record.actor = Some(Actor {
            agent: caller,
            instance: Some(sandbox),
            cgroup: peer.as_ref().and_then(|peer| peer.cgroup.ok().flatten()),
            pid: peer.as_ref().map(|peer| peer.pid),
            uid: peer.as_ref().map(|peer| peer.uid),
            ..Actor::default()
        });
        record.call = Some(CallOf { connection, ..CallOf::default() });
        self.log.audit().count(&record);
        self.now_and_then(record, Instant::now());
        self.settle();
    }

    /// What cannot be written down any more, of which somebody must know.
    pub(crate) fn close(&mut self) -> Option<String> {
        for (sort, (_, left_out)) in std::mem::take(&mut self.often) {
            if left_out > 0 {
                self.log.gather(sort.left_out(left_out));
            }
        }
        self.log.close()
    }

    fn now_and_then(&mut self, record: Record, now: Instant) {
        let sort = Sort::of(&record);
        if self.often.len() >= SORTS && !self.often.contains_key(&sort) {
            self.forget(now);
        }
        let (pace, left_out) =
            self.often.entry(sort.clone()).or_insert_with(|| (Pace::of_refusals(), 0));
        if !pace.admits(now) {
            *left_out += 1;
            return;
        }
        let before = std::mem::take(left_out);
        if before > 0 {
            self.log.gather(sort.left_out(before));
        }
        self.log.gather(record);
    }

    /// Sandboxes come and go. Of what is within its pace for long, nothing need be known.
    fn forget(&mut self, now: Instant) {
        let log = &mut self.log;
        self.often.retain(|sort, (pace, left_out)| {
            let rests = pace.is_rested(now);
            if rests && *left_out > 0 {
                log.gather(sort.left_out(*left_out));
            }
            !rests
        });
    }

    fn durable(&mut self, call: u64, record: Record) -> Written {
        self.settle();
        match self.log.audit().append(record, Durability::Durable) {
            Ok(commit) => Written::Waits(call, commit),
            Err(error) => {
                self.log.failed(error);
                Written::Not(call)
            }
        }
    }

    /// A record that a call waited for is lost.
    pub(crate) fn failed(&mut self, error: AuditError) {
        self.log.failed(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Most;
    use crate::calls::desk::tests::parts_of;
    use sandboxd_broker_plan::record::{Method, Rule, Tool, What};
    use std::time::Duration;

    /// More than are written down at once.
    const FLOOD: u64 = 1000;

    fn records() -> Records {
        let most = Most { instances: 0, connections: 1 };
        let (_, (records, ..), ..) = parts_of(most, |_, _| unreachable!());
        records
    }

    fn told(records: &mut Records, event: Event) {
        let told = Told { edge: Some(0), connection: 5, instance: 0, call: 1, event };
        let (sandbox, chain) = (Some(String::from("agent-1")), vec![String::from("agent")]);
        let known = Known { sandbox, chain, for_several: false, callee: None, called: None };
        assert!(records.told(&told, known).is_ok());
    }

    fn knocked(records: &mut Records, sandbox: &str, refused: Option<&'static str>) {
        let (caller, sandbox) = (String::from("agent"), sandbox.to_owned());
        records.knocked(Knock { caller, sandbox, connection: 5, peer: None, refused });
    }

    /// Of which sorts some were left out, as the log says.
    fn left_out(records: &Records) -> Vec<String> {
        let some = records.often.iter().filter(|(_, (_, left_out))| *left_out > 0);
        some.map(|(sort, _)| {
            let record = sort.left_out(1);
            let instance = record.actor.and_then(|actor| actor.instance);
            format!("{} {:?} {instance:?}", record.result["of"], record.rule)
        })
        .collect()
    }

    #[test]
    fn a_flood_keeps_nothing_else_from_being_written_down() {
        let what =
            What { method: Method::ToolsCall, name: None, digest: [0; 32], bytes: 1, secrets: 0 };
        let rules = [Rule::Params, Rule::Arguments, Rule::Secret, Rule::Rate, Rule::Quarantine];
        let refused = |rule| Event::Refused(what, rule);
        let tool = Tool { name: None, digest: [0; 32] };
        let floods = [Event::Malformed, Event::AskedInVain, Event::ToolPinned(tool)].into_iter();
        for flood in floods.chain(rules.map(refused)) {
            let mut records = records();
            (0..FLOOD).for_each(|_| told(&mut records, flood));
            let others =
                [refused(Rule::Reach), Event::NoEdge, Event::ToolChanged(tool), Event::Overfull];
            others.into_iter().for_each(|event| told(&mut records, event));
            knocked(&mut records, "agent-1", None);
            knocked(&mut records, "agent-1", Some("cgroup"));
            let sorts = (records.often.len(), left_out(&records).len());
            assert_eq!(sorts, (others.len() + 3, 1), "{flood:?}");
        }
        let mut records = records();
        (0..FLOOD).for_each(|_| knocked(&mut records, "agent-1", None));
        knocked(&mut records, "agent-1", Some("uid"));
        knocked(&mut records, "agent-2", None);
        assert_eq!(left_out(&records), [r#""connected" None Some("agent-1")"#]);
    }

    #[test]
    fn what_rests_is_forgotten_and_what_does_not_is_not() {
        let mut records = records();
        let connected = |sandbox: usize| {
            let mut record = Record::of(Kind::Connected);
            let instance = Some(format!("agent-{sandbox}"));
            record.actor = Some(Actor { instance, ..Actor::default() });
            record
        };
        let began = Instant::now();
        (0..FLOOD).for_each(|_| records.now_and_then(connected(0), began));
        (0..SORTS * 4).for_each(|sandbox| {
            let later = Duration::from_millis(u64::try_from(sandbox).unwrap());
            records.now_and_then(connected(sandbox), began + later);
        });
        assert!(records.often.len() <= SORTS, "{}", records.often.len());
        assert_eq!(left_out(&records).len(), 1);
        records.forget(began + Duration::from_secs(60));
        assert!(records.often.is_empty());
    }
}
