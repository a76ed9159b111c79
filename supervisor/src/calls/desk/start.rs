//! What is started because the broker asks for it.

use super::{Clerk, Closed};
use crate::calls::Connection;
use crate::calls::hold::Claim;
use crate::calls::instance::{For, Instance, Wanted};
use crate::sandbox::StartError;
use sandboxd_profiles::graph::{HOPS, Launch};
use std::sync::Arc;

/// How many different reasons are said of what does not run.
const MOST_TOLD: usize = 32;

impl Clerk {
    /// Starts an instance, where the edge is one of whoever is at the connection.
    pub(super) fn start(
        &mut self,
        instance: u64,
        edge: u64,
        connection: u64,
    ) -> Result<(), Closed> {
        let who = self.shared.connections().get(&connection).cloned();
        let called = who.and_then(|who| {
            let edge = usize::try_from(edge).ok()?;
            let launch = self.shared.calls.graph.launch(&who.standing, edge)?;
            Some((who, launch))
        });
        let Some((who, launch)) = called.filter(|_| instance != 0) else {
            let what = format!("asked for edge {edge} for connection {connection}");
            return Err(Closed::Violated(what));
        };
        if instance <= self.newest {
            return Err(Closed::Violated(format!("asked for instance {instance} again")));
        }
        self.newest = instance;
        let caller = self.instances.get(&who.behalf);
        let is_over = who.behalf != 0 && caller.is_none_or(Instance::is_to_end);
        // What is for several is started for those who still may call it.
        let may = self.may_start(edge)? || (launch.shared && self.is_reached(edge));
        // Whoever wanted it is over, or may not call it any more.
        if is_over || !may {
            self.ended(instance);
            return Ok(());
        }
        let name = launch.profile.name().to_owned();
        let caller = self.shared.caller(launch.standing.clone(), instance);
        let claim = Claim { number: instance, caller };
        if let Some(ready) = self.ready.claim((who.behalf, edge), &claim) {
            self.instances.insert(instance, ready);
        } else if let Err(why) = self.begin(claim, &who, (edge, launch)) {
            self.refused(&(name, why));
            self.ended(instance);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        claim: Claim,
        who: &Connection,
        along: (u64, Launch),
    ) -> Result<(), StartError> {
        let most = self.shared.most.instances;
        if self.instances.len() >= most {
            let what = format!("{most} callees are running already");
            return Err(StartError::found("calls", what).with_remedy(
                "let sandboxd open more files (ulimit -n, LimitNOFILE=; at most 256 callees run at once), or let the agent close connections",
            ));
        }
        let mut wanted = self.wanted(who, along)?;
        if self.instances.len() + self.ready.len() >= most {
            wanted.after = self.ready.give_way();
        }
        let number = claim.number;
        self.instances.insert(number, Instance::begin(wanted, For::Caller(claim))?);
        Ok(())
    }

    /// What is wanted of an instance that whoever this is calls over this edge.
    pub(super) fn wanted(
        &self,
        who: &Connection,
        (edge, mut launch): (u64, Launch),
    ) -> Result<Wanted, StartError> {
        if launch.standing.hops() > HOPS {
            let what = format!("a chain of more than {HOPS} calls");
            return Err(StartError::found("calls", what).with_remedy(
                "the calls form a loop: find the edges marked cycle in sandboxd graph, and remove one",
            ));
        }
        let mut outer = self.shared.calls.under.clone();
        for profile in &mut outer {
            // It bears what is called too, whatever that needs.
            let name = profile.name().to_owned();
            profile.budget.of.get_or_insert(name);
        }
        launch.under.splice(0..0, outer);
        // What is for several does not end with whoever called first, and is not recorded as that one's.
        let (within, behalf, from) = if launch.shared {
            (self.shared.room.clone(), 0, None)
        } else {
            let from = self.shared.calls.graph.name(&who.standing).to_owned();
            (who.room.clone(), who.behalf, Some(from))
        };
        let shared = Arc::clone(&self.shared);
        Ok(Wanted { launch, edge, from, within, behalf, after: None, shared })
    }

    /// Says why, but nothing twice: whoever calls could go on for ever.
    pub(super) fn refused(&mut self, (name, why): &(String, StartError)) {
        self.shared.audit.refused(name, why);
        let text = why.text(name);
        if self.told.len() < MOST_TOLD && self.told.insert(text) {
            (self.shared.calls.refused)(name, why);
        }
    }
}
