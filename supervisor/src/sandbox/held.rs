//! A run whose command is let go only once somebody claims it: all of its start is done but the word to go,
//! and its times do not run. What it was decided by is looked at again when it is claimed, see
//! [`still`](super::still).

use super::ahead::Watched;
use super::driver::Driver;
use super::error::StartError;
use super::state::{Event, State};
use crate::calls::{Caller, Hold};
use crate::cgroup::Tree;
use std::sync::Arc;
use std::time::Instant;

/// Where a run waits for whoever it is for.
pub(crate) struct Held {
    /// Who claims it says so here.
    pub(super) hold: Arc<Hold>,
    /// Looks at the clock, but not while nobody waits.
    pub(super) watched: Watched,
    /// Where the cgroups are made of what its command calls.
    pub(super) below: Option<Arc<Tree>>,
}

/// Waits until somebody claims it.
pub(super) async fn claimed(held: Option<&Held>) {
    match held {
        Some(held) => held.hold.claimed().await,
        None => std::future::pending().await,
    }
}

impl Driver<'_> {
    /// Lets the command go only once somebody claims it.
    pub(crate) fn hold(&mut self, held: Held) {
        self.state = State::Entering { ready: false, enforced: None, held: true };
        self.held = Some(held);
    }

    /// It is as ready as it can be, with its services.
    pub(super) fn rest(&mut self) -> Result<(), StartError> {
        self.carried.settle(self.handed.signatures.take())?;
        self.clocks.rest();
        if let Some(held) = &self.held {
            held.watched.rest();
        }
        Ok(())
    }

    /// Somebody claims it: whose it is is known, and its times begin.
    pub(super) fn go_on(&mut self) -> Event {
        if let Some(held) = self.held.take() {
            let now = Instant::now();
            held.watched.go_on();
            self.clocks.claimed(&self.resolved.outside, now);
            self.claimed = Some(now);
            let caller = held.hold.caller();
            let within = |caller: Caller| caller.within(&self.resolved.plan.id, held.below);
            self.carried.is(caller.map(within));
        }
        Event::Claimed
    }
}
