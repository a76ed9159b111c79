//! For whom something calls that was itself called.
//!
//! A process for one connection calls for whoever has that. One for several calls for those whom it has not answered
//! yet; and for a minute for whoever notified it or gave up a handshake, since no answer says when it is done with that.
//! Where it has answered all of them, it may still be at what any of them wanted: then it calls for everybody whom it
//! served, or, where it has one call at a time, for the last. By its own right it calls only before it has served
//! anybody; until then it has heard nothing but the broker's own words.

use super::{
    CallId, ConnectionId, InstanceId, Relay,
    state::{Instance, Origin},
};
use crate::{limit::Moment, mcp::method::Asks};
use sandboxd_broker_plan::{Instances, Millis};
use std::collections::BTreeMap;

/// How many chains of calls one call may be part of; one more is kept, so that it is refused.
pub(super) const CHAINS: usize = 64;

/// For how long a notification counts as what is not answered yet.
const NOTED: Millis = Millis(60_000);

/// Callers, by their places in the plan: whoever called first is first.
type Chain = Vec<usize>;

/// Whom an instance for several has served: for each chain of calls, until when it counts whatever was answered.
#[derive(Debug, Default)]
pub(super) struct Served(BTreeMap<Chain, Moment>);

impl Served {
    fn add(&mut self, chains: &[Chain], until: Moment) {
        for chain in chains {
            match self.0.get_mut(chain) {
                Some(known) => *known = until.max(*known),
                None => drop(self.0.insert(chain.clone(), until)),
            }
        }
        // Those that are left are too many still, and count for as long as any.
        while self.0.len() > CHAINS + 1 {
            let first = self.0.iter().min_by_key(|(_, until)| **until);
            let Some(first) = first.map(|(chain, _)| chain.clone()) else { return };
            self.0.remove(&first);
        }
    }

    /// Whoever counts now.
    fn counting(&self, now: Moment) -> impl Iterator<Item = &Chain> {
        self.0.iter().filter(move |(_, until)| **until > now).map(|(chain, _)| chain)
    }
}

impl Relay {
    /// On whose behalf a connection calls, now.
    pub(super) fn chains(&self, id: ConnectionId) -> Vec<Chain> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let mut chains = match connection.behalf {
            Some(instance) => self.works_for(instance),
            None => vec![Chain::new()],
        };
        chains.truncate(CHAINS + 1);
        for chain in &mut chains {
            chain.push(connection.caller);
        }
        chains
    }

    /// For whom an instance works, now; an empty chain where it is for itself.
    pub(super) fn works_for(&self, id: InstanceId) -> Vec<Chain> {
        let Some(known) = self.instances.get(&id) else { return Vec::new() };
        let Some(callee) = self.plan.callees.get(known.callee) else { return Vec::new() };
        let mut chains = match callee.instances {
            Instances::PerCaller => known.owner.map_or(Vec::new(), |owner| self.chains(owner)),
            Instances::Serial | Instances::Attenuate => self.serves(id, known),
            Instances::Own { .. } => vec![Chain::new()],
        };
        chains.sort_unstable();
        chains.dedup();
        chains
    }

    fn serves(&self, id: InstanceId, known: &Instance) -> Vec<Chain> {
        let here = self.calls.values().filter(|call| call.instance == Some(id));
        // What the broker asks by itself is nobody's.
        let open = here.filter(|call| call.stage.is_with_callee() && !call.chains.is_empty());
        // A subscription is open whether or not something is done for it.
        let idle = open.clone().all(|call| call.asks == Asks::Listen);
        let open = open.flat_map(|call| &call.chains);
        let chains: Vec<Chain> = if idle {
            open.chain(known.served.0.keys()).cloned().collect()
        } else {
            open.chain(known.served.counting(self.now)).cloned().collect()
        };
        if chains.is_empty() { vec![Chain::new()] } else { chains }
    }

    /// A call is on its way: where its callee is one process for several, it is remembered for whom.
    pub(super) fn remember_served(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id).filter(|call| !call.chains.is_empty()) else { return };
        let known = call.instance.and_then(|instance| self.instances.get_mut(&instance));
        let Some(known) = known else { return };
        let now = self.now;
        match self.plan.callees.get(known.callee).map(|callee| &callee.instances) {
            Some(Instances::Serial) => known.served.0.retain(|_, until| *until > now),
            Some(Instances::Attenuate) => {}
            Some(Instances::PerCaller | Instances::Own { .. }) | None => return,
        }
        let noted = matches!(call.origin, Origin::Note(_));
        known.served.add(&call.chains, if noted { now.after(NOTED) } else { now });
    }

    /// What it was asked is given up and not waited for any more; it may be at that still, as at what it was notified of.
    pub(super) fn counts_as_noted(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let known = call.instance.and_then(|instance| self.instances.get_mut(&instance));
        if let Some(known) = known.filter(|known| known.owner.is_none()) {
            known.served.add(&call.chains, self.now.after(NOTED));
        }
    }
}
