//! Counts what a connection carries, and knows when it is over.

use super::{splice::Pipes, story::Story, world::World};
use crate::limit::Direction;
use sandboxd_egress_plan::{Bound, Deadlines, Verdict};
use std::{
    cell::Cell,
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Counts for one connection.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    world: &'a World,
    story: &'a Story,
    since: Instant,
    last: Cell<Instant>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(world: &'a World, story: &'a Story) -> Self {
        let since = Instant::now();
        Self { world, story, since, last: Cell::new(since) }
    }

    /// The pipes that all connections share.
    pub(super) const fn pipes(&self) -> &Pipes {
        &self.world.pipes
    }

    /// How many bytes may still go this way.
    pub(super) fn left(&self, direction: Direction) -> u64 {
        let rule = self.story.rule.get();
        let left = rule.map_or(0, |rule| self.world.ledger().left(rule, direction));
        left.min(self.world.purses().bytes_left())
    }

    /// Why nothing more may go, where that is so.
    pub(super) fn spent(&self) -> Verdict {
        let over = self.world.purses().bytes_left() == 0;
        if over { Verdict::Budget } else { Verdict::Spent }
    }

    /// These secrets are put into a request.
    pub(super) fn put(&self, numbers: impl Iterator<Item = u32>) {
        self.story.put(numbers);
    }

    /// So many bytes go.
    pub(super) fn count(&self, direction: Direction, bytes: usize) {
        self.last.set(Instant::now());
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let total = match direction {
            Direction::Up => &self.story.up,
            Direction::Down => &self.story.down,
        };
        total.set(total.get().saturating_add(bytes));
        if let Some(rule) = self.story.rule.get() {
            self.world.ledger().count(rule, direction, bytes);
        }
        let soon = self.world.purses().count(bytes);
        if soon {
            self.world.tell_levels();
        }
    }

    /// So many bytes that were read already go, or none of them.
    pub(super) fn spend(&self, direction: Direction, bytes: usize) -> Result<(), Verdict> {
        if u64::try_from(bytes).is_ok_and(|bytes| bytes <= self.left(direction)) {
            self.count(direction, bytes);
            Ok(())
        } else {
            Err(self.spent())
        }
    }

    /// Lets this go on until a deadline passes.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Verdict>>,
    ) -> Result<T, Verdict> {
        tokio::select! {
            biased;
            ended = work => ended,
            verdict = self.over() => Err(verdict),
        }
    }

    /// Whether a connection that is as old as this one may go on under these.
    pub(super) fn may_last(&self, deadlines: Deadlines) -> Result<(), Verdict> {
        let end = after(self.since, deadlines.total);
        if end.is_some_and(|end| end <= Instant::now()) { Err(Verdict::Total) } else { Ok(()) }
    }

    /// Waits until a deadline of the rule that bears this passed, and says which.
    pub(super) async fn over(&self) -> Verdict {
        loop {
            let rule = self.story.rule.get();
            let deadlines = match rule.ok_or(Verdict::NoRule).and_then(|rule| self.world.rule(rule))
            {
                Ok(rule) => rule.deadlines,
                Err(verdict) => return verdict,
            };
            let total = after(self.since, deadlines.total).map(|at| (at, Verdict::Total));
            let idle = after(self.last.get(), deadlines.idle).map(|at| (at, Verdict::Idle));
            let Some((at, verdict)) = total.into_iter().chain(idle).min() else {
                self.is_passed(rule).await;
                continue;
            };
            if at <= Instant::now() {
                return verdict;
            }
            tokio::select! {
                () = sleep_until(at) => {}
                () = self.is_passed(rule) => {}
            }
        }
    }

    /// Waits until another rule than this one bears it. Nobody wakes who waits: it is looked at in turn with that
    /// which passes it on.
    async fn is_passed(&self, rule: Option<usize>) {
        let is_passed = |_: &mut Context<'_>| {
            if self.story.rule.get() == rule { Poll::Pending } else { Poll::Ready(()) }
        };
        poll_fn(is_passed).await;
    }
}

/// When this is over that began then.
fn after(since: Instant, bound: Bound) -> Option<Instant> {
    match bound {
        Bound::AtMost(millis) => since.checked_add(Duration::from_millis(millis)),
        Bound::Unlimited => None,
    }
}
