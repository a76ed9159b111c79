//! Every rule about a call that does not have to wait for anything, in this order: what is denied
//! costs nobody anything, so it comes before what is counted. But what takes long to look at is looked at only for
//! whoever has a call left.

use super::{
    CallId, ConnectionId, Output, Relay,
    behalf::CHAINS,
    state::{Call, Stage},
};
use crate::{
    json::{Object, Value},
    limit::{Moment, Slot, Tripwire, Wait},
    mcp::method::{Asks, Target},
    refusal::Refusal,
    schema::Violation,
};
use sandboxd_broker_plan::record::{Event, Record};
use sandboxd_broker_plan::{Approval, Edge, Instances, Millis, Pattern, Reach};
use std::collections::BTreeSet;

impl Relay {
    /// Whether the edge, its callee and the connection itself all have it.
    pub(super) fn reaches(&self, call: &Call, target: &Target) -> bool {
        let connection = call.origin.connection().and_then(|id| self.connections.get(&id));
        let only = connection.and_then(|connection| connection.only.as_deref());
        let wanted = match (only, target) {
            (Some(only), Target::Tool(_)) => any(only, target),
            (Some(_), Target::Resource(_) | Target::Prompt(_) | Target::Method(_)) => false,
            _ => true,
        };
        wanted && self.edge_reaches(call.edge, target)
    }

    /// Whether any edge to a callee has it.
    pub(super) fn is_reached(&self, callee: usize, target: &Target) -> bool {
        let mut edges = self.edges.iter().enumerate().filter(|(_, edge)| edge.callee == callee);
        edges.any(|(place, _)| self.edge_reaches(place, target))
    }

    pub(super) fn edge_reaches(&self, edge: usize, target: &Target) -> bool {
        if self.is_revoked(edge) {
            return false;
        }
        let Some((edge, _, callee)) = self.rules(edge) else { return false };
        let has = |reach: &Reach| match target {
            Target::Whole => true,
            Target::Tool(_) => any(&reach.tools, target),
            Target::Resource(_) => any(&reach.resources, target),
            Target::Prompt(_) => any(&reach.prompts, target),
            Target::Method(_) => any(&reach.methods, target),
        };
        has(&edge.reach) && has(&callee.serves)
    }

    /// Every rule.
    pub(super) fn judge(&mut self, id: CallId) -> Result<(), Refusal> {
        let now = self.now;
        self.may_reach(id)?;
        self.has_rate_left(id).map_err(Refusal::Rate)?;
        let secrets = self.may_say(id)?;
        if let Some(call) = self.calls.get_mut(&id) {
            call.secrets = secrets;
        }
        let call = self.calls.get(&id).ok_or(Refusal::Gone)?;
        let (edge, is_call, digest) = (call.edge, call.asks.is_call(), self.identity(call));
        let (_, callee, _) = self.rules(edge).ok_or(Refusal::Gone)?;
        let (who, by) = (callers(call), call.origin.connection());
        if is_call {
            let repeated = self.edges.get_mut(edge).map(|edge| edge.repeated.admit(digest, now));
            repeated.ok_or(Refusal::Gone)?.map_err(Refusal::Repeated)?;
            if !who.iter().all(|caller| self.has_calls_left(*caller)) {
                return Err(Refusal::Spent);
            }
            self.fuse(edge, by).ok_or(Refusal::Gone)?.look(now).map_err(Refusal::Broken)?;
        }
        self.buckets.take(&slots(edge, callee, is_call, &who), now).map_err(Refusal::Rate)?;
        for caller in who.iter().filter(|_| is_call) {
            if let Some(spent) = self.spent.get_mut(*caller) {
                *spent = spent.saturating_add(1);
            }
        }
        let deadline = self.deadline(id);
        let whole = deadline == self.in_time(edge);
        if let Some(call) = self.calls.get_mut(&id) {
            (call.deadline, call.whole) = (deadline, whole);
        }
        Ok(())
    }

    /// Whether a call could be charged, which it is not yet.
    fn has_rate_left(&self, id: CallId) -> Result<(), Wait> {
        let call = self.calls.get(&id).ok_or(Wait::Never)?;
        let (_, callee, _) = self.rules(call.edge).ok_or(Wait::Never)?;
        let slots = slots(call.edge, callee, call.asks.is_call(), &callers(call));
        self.buckets.look(&slots, self.now).map(drop)
    }

    /// What makes two calls the same: which process makes them, the method and its parameters.
    fn identity(&self, call: &Call) -> [u8; 32] {
        use sha2::{Digest as _, Sha256};
        let who = call.origin.connection().and_then(|by| self.who(by));
        let behalf = who.and_then(|(_, behalf)| behalf).map_or(0, |instance| instance.0);
        Sha256::new()
            .chain_update(behalf.to_le_bytes())
            .chain_update(&call.method)
            .chain_update([0])
            .chain_update(call.digest)
            .finalize()
            .into()
    }

    fn has_calls_left(&self, caller: usize) -> bool {
        let calls = self.plan.callers.get(caller).map(|caller| caller.calls);
        calls.zip(self.spent.get(caller)).is_some_and(|(calls, spent)| calls.admits(*spent))
    }

    /// When an answer must be there: no later than the last of those that it is made for.
    fn deadline(&self, id: CallId) -> Moment {
        let Some(call) = self.calls.get(&id) else { return self.now };
        let own = self.in_time(call.edge);
        let connection = call.origin.connection().and_then(|id| self.connections.get(&id));
        let Some(behalf) = connection.and_then(|connection| connection.behalf) else { return own };
        let parents = self.calls.values().filter(|parent| parent.instance == Some(behalf));
        let open = parents.filter(|parent| parent.stage == Stage::Sent && parent.asks.is_call());
        open.map(|parent| parent.deadline).max().map_or(own, |parent| parent.min(own))
    }

    /// The rules that know nothing of how often and how many; and which secrets stand in it.
    pub(super) fn may(&self, id: CallId) -> Result<u64, Refusal> {
        self.may_reach(id)?;
        self.may_say(id)
    }

    /// Those of them that look at the name alone.
    fn may_reach(&self, id: CallId) -> Result<(), Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::Gone)?;
        if !self.reaches(call, &call.target) || !self.exists(call) {
            return Err(absent(&call.target));
        }
        let (_, _, callee) = self.rules(call.edge).ok_or(Refusal::Gone)?;
        if call.chains.len() > CHAINS {
            return Err(Refusal::Chain);
        }
        let hops = usize::try_from(self.plan.limits.hops).unwrap_or(usize::MAX);
        for chain in &call.chains {
            let comes_back = self.names(chain).any(|name| name == callee.name.as_str());
            if chain.len() > hops || comes_back {
                return Err(Refusal::Chain);
            }
            if !self.leads(chain) {
                return Err(Refusal::Revoked);
            }
        }
        Ok(())
    }

    /// Those that look at the arguments, which takes as long as the schemas have it.
    fn may_say(&self, id: CallId) -> Result<u64, Refusal> {
        let call = self.calls.get(&id).ok_or(Refusal::Gone)?;
        if self.attenuates(call) && !self.all_may(call) {
            return Err(absent(&call.target));
        }
        self.arguments(call)?;
        self.placeholders(call).map_err(Refusal::Secret)
    }

    /// Whether the callee has what is meant, where that is known before it is asked.
    fn exists(&self, call: &Call) -> bool {
        let instance = call.instance.and_then(|id| self.instances.get(&id));
        match &call.target {
            Target::Tool(name) => instance.is_some_and(|it| it.tools.get(name).is_some()),
            Target::Prompt(name) => instance.is_some_and(|it| it.prompts.has(name)),
            Target::Whole | Target::Resource(_) | Target::Method(_) => true,
        }
    }

    /// Whether the caller is one process that answers several at once.
    fn attenuates(&self, call: &Call) -> bool {
        let connection = call.origin.connection().and_then(|id| self.connections.get(&id));
        let behalf = connection.and_then(|connection| self.instances.get(&connection.behalf?));
        let callee = behalf.and_then(|instance| self.plan.callees.get(instance.callee));
        callee.is_some_and(|callee| callee.instances == Instances::Attenuate)
    }

    /// Whether each of those for whom a call is might make it itself.
    fn all_may(&self, call: &Call) -> bool {
        callers(call).into_iter().all(|caller| self.might(caller, call).next().is_some())
    }

    /// The edges by which somebody might make a call itself.
    fn might(&self, caller: usize, call: &Call) -> impl Iterator<Item = &Edge> {
        let callee = self.edges.get(call.edge).map(|edge| edge.callee);
        let all = self.edges.iter().enumerate();
        let theirs = all
            .filter(move |(_, edge)| edge.caller == caller && Some(edge.callee) == callee)
            .map(|(place, _)| place);
        theirs
            .filter(|place| self.edge_reaches(*place, &call.target))
            .filter(|place| self.allows_arguments(*place, call).is_ok())
            .filter_map(|place| self.plan.edges.get(place))
    }

    /// How long a call is held until it is approved; nothing where nobody is asked about it. One that may be made for
    /// any of several is asked about wherever a call of that one itself would be.
    pub(super) fn approval_within(&self, call: &Call) -> Option<Millis> {
        let own = self.plan.edges.get(call.edge).and_then(|edge| asks(edge, call));
        own.or_else(|| {
            let several = callers(call).into_iter().filter(|_| self.attenuates(call));
            several.into_iter().find_map(|caller| {
                let each = self.might(caller, call).map(|edge| asks(edge, call));
                each.collect::<Option<Vec<Millis>>>()?.into_iter().min()
            })
        })
    }

    /// The arguments, by the schema that the tool was pinned with and by those of the edge.
    fn arguments(&self, call: &Call) -> Result<(), Refusal> {
        let (Asks::Tool, Target::Tool(name)) = (call.asks, &call.target) else { return Ok(()) };
        let instance = call.instance.and_then(|id| self.instances.get(&id));
        let own = instance.and_then(|instance| instance.tools.get(name));
        own.map_or(Ok(()), |schema| with_arguments(call, |given| schema.check(given)))
            .and_then(|()| self.allows_arguments(call.edge, call))
            .map_err(Refusal::Arguments)
    }

    /// The arguments, by the schemas of an edge.
    fn allows_arguments(&self, edge: usize, call: &Call) -> Result<(), Violation> {
        let (Asks::Tool, Target::Tool(name)) = (call.asks, &call.target) else { return Ok(()) };
        let schemas = self.edges.get(edge).and_then(|edge| edge.schemas.get(name));
        let mut schemas = schemas.into_iter().flatten();
        with_arguments(call, |given| schemas.try_for_each(|schema| schema.check(given)))
    }

    /// Somebody asked for what it may not have. What is told where it did so too often is of this record.
    pub(super) fn denied(&mut self, by: ConnectionId, of: Record) {
        let Some(who @ (caller, behalf)) = self.who(by) else { return };
        let Some(rule) = self.plan.callers.get(caller).map(|it| it.quarantine) else { return };
        if self.tripwires.entry(who).or_insert_with(|| Tripwire::new(rule)).denied(self.now) {
            if behalf.is_none() {
                self.buckets.use_up(Slot::Quarantine(caller), self.now);
            }
            self.out.push(Output::Record(Record { event: Event::Quarantined, ..of }));
        }
    }

    /// Whether whoever calls is heard. Who is not stays so over a restart, but for an instance, which does not outlive one.
    pub(super) fn is_heard(&self, by: ConnectionId) -> Result<(), Wait> {
        match self.who(by) {
            Some((caller, None)) => self.buckets.is_full(Slot::Quarantine(caller), self.now),
            Some(who) => self.tripwires.get(&who).map_or(Ok(()), |wire| wire.rests(self.now)),
            None => Ok(()),
        }
    }
}

/// What a call is charged to.
fn slots(edge: usize, callee: usize, is_call: bool, who: &BTreeSet<usize>) -> Vec<Slot> {
    let slot = if is_call { Slot::Caller } else { Slot::Lists };
    let mut slots: Vec<Slot> = who.iter().copied().map(slot).collect();
    if is_call {
        slots.extend([Slot::Edge(edge), Slot::Callee(callee), Slot::All]);
    }
    slots
}

/// Everybody for whom a call is, once.
fn callers(call: &Call) -> BTreeSet<usize> {
    call.chains.iter().flatten().copied().collect()
}

/// That there is no such thing, or none to be seen.
fn absent(target: &Target) -> Refusal {
    if matches!(target, Target::Method(_)) {
        Refusal::Method
    } else {
        Refusal::Unknown(target.clone())
    }
}

/// How long an edge holds a call until it is approved.
fn asks(edge: &Edge, call: &Call) -> Option<Millis> {
    match (&edge.approval, &call.target) {
        (Approval::Ask { expires }, _) if call.asks.is_call() => Some(*expires),
        (Approval::AskFor { names, expires }, target @ (Target::Tool(_) | Target::Method(_)))
            if any(names, target) =>
        {
            Some(*expires)
        }
        (Approval::Never | Approval::Ask { .. } | Approval::AskFor { .. }, _) => None,
    }
}

fn with_arguments<T>(call: &Call, check: impl FnOnce(&Value) -> T) -> T {
    let params = call.body.get("params").and_then(Value::as_object);
    match params.and_then(|params| params.get("arguments")) {
        Some(arguments) => check(arguments),
        None => check(&Object::default().into()),
    }
}

fn any(patterns: &[Pattern], target: &Target) -> bool {
    patterns.iter().any(|pattern| target.is_of(pattern))
}
