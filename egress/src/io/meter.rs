//! Counts what a connection carries, and knows when it is over.

use super::{splice::Pipes, story::Story, world::World};
use crate::limit::Direction;
use sandboxd_egress_plan::{Bound, Deadlines, Verdict};
use std::{cell::Cell, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Counts for one connection.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    world: &'a World,
    story: &'a Story,
    deadlines: Deadlines,
    since: Instant,
    last: Cell<Instant>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(world: &'a World, story: &'a Story, deadlines: Deadlines) -> Self {
        let since = Instant::now();
        Self { world, story, deadlines, since, last: Cell::new(since) }
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

    /// Waits until a deadline passed, and says which.
    pub(super) async fn over(&self) -> Verdict {
        let after = |since: Instant, bound| match bound {
            Bound::AtMost(millis) => since.checked_add(Duration::from_millis(millis)),
            Bound::Unlimited => None,
        };
        loop {
            let total = after(self.since, self.deadlines.total).map(|at| (at, Verdict::Total));
            let idle = after(self.last.get(), self.deadlines.idle).map(|at| (at, Verdict::Idle));
            let Some((at, verdict)) = total.into_iter().chain(idle).min() else {
                return std::future::pending().await;
            };
            if at <= Instant::now() {
                return verdict;
            }
            sleep_until(at).await;
        }
    }
}
