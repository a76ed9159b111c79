//! How often: the generic cell rate algorithm, one number for each bucket.
//!
//! The number is the time at which the bucket would be as good as new (the theoretical arrival time).
//! A call goes through where it moves that time no further into the future than a burst takes. All
//! buckets of a call are looked at before one is changed, so that a call which one of them refuses is
//! charged to none.

use super::kept::QUARANTINE;
use super::{Moment, Wait};
use sandboxd_broker_plan::{BrokerPlan, Rate};

/// One rate, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gcra {
    /// Nothing goes through.
    Nothing,
    /// Everything does.
    Everything,
    /// One each `interval`, and as many at once as fit into `tolerance`.
    Every {
        /// Between two calls.
        interval: u64,
        /// How far into the future a bucket may be.
        tolerance: u64,
    },
}

impl From<Rate> for Gcra {
    fn from(rate: Rate) -> Self {
        match rate {
            Rate::Unlimited => Self::Everything,
            Rate::Per { count: 0, .. } | Rate::Per { burst: 0, .. } => Self::Nothing,
            Rate::Per { count, period, burst } => {
                let interval = period.0.saturating_mul(1_000_000) / u64::from(count);
                Self::Every { interval, tolerance: interval.saturating_mul(u64::from(burst)) }
            }
        }
    }
}

impl Gcra {
    /// The bucket's time after one more call, or how long to wait.
    ///
    /// # Errors
    /// Where it is not its turn.
    pub fn next(self, full: Moment, now: Moment) -> Result<Moment, Wait> {
        match self {
            Self::Nothing => Err(Wait::Never),
            Self::Everything => Ok(full),
            Self::Every { interval, tolerance } => {
                let next = Moment(full.0.max(now.0).saturating_add(interval));
                let latest = Moment(now.0.saturating_add(tolerance));
                if next <= latest {
                    Ok(next)
                } else {
                    Err(now.until(Moment(now.0.saturating_add(next.0 - latest.0))))
                }
            }
        }
    }

    /// The time of a bucket of which nothing is left.
    const fn used_up(self, now: Moment) -> Moment {
        match self {
            Self::Nothing | Self::Everything => now,
            Self::Every { tolerance, .. } => Moment(now.0.saturating_add(tolerance)),
        }
    }
}

/// Which bucket; numbers are places in the plan's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Everybody's calls.
    All,
    /// A caller's calls.
    Caller(usize),
    /// A caller's lists and discoveries.
    Lists(usize),
    /// Calls of a callee.
    Callee(usize),
    /// Calls over an edge.
    Edge(usize),
    /// The one quarantine that a caller may have had lately: while nothing is left of it, it is in it.
    Quarantine(usize),
}

/// A bucket, as its owner keeps it over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// What stays the same while the plan changes: `caller:NAME`, `edge:CALLER/NAME`.
    pub key: String,
    /// The time at which it is as good as new.
    pub full: Moment,
}

/// All buckets of a plan.
#[derive(Debug)]
pub struct Buckets(Vec<Bucket>);

#[derive(Debug)]
struct Bucket {
    slot: Slot,
    key: String,
    rate: Gcra,
    full: Moment,
    /// It was charged since that was last asked.
    charged: bool,
}

impl Buckets {
    /// Buckets as good as new.
    #[must_use]
    pub fn new(plan: &BrokerPlan) -> Self {
        let mut all = Self(Vec::new());
        all.add(Slot::All, "all".to_owned(), plan.limits.rate);
        for (place, caller) in plan.callers.iter().enumerate() {
            all.add(Slot::Caller(place), format!("caller:{}", caller.name), caller.rate);
            all.add(Slot::Lists(place), format!("lists:{}", caller.name), caller.lists);
            let length = caller.quarantine.length.0.saturating_mul(1_000_000);
            let once = Gcra::Every { interval: length, tolerance: length };
            all.add(Slot::Quarantine(place), format!("{QUARANTINE}{}", caller.name), once);
        }
        for (place, callee) in plan.callees.iter().enumerate() {
            all.add(Slot::Callee(place), format!("callee:{}", callee.name), callee.rate);
        }
        for (place, edge) in plan.edges.iter().enumerate() {
            all.add(Slot::Edge(place), format!("edge:{}/{}", edge.caller, edge.name), edge.rate);
        }
        all.0.sort_by_key(|bucket| bucket.slot);
        all
    }

    fn add(&mut self, slot: Slot, key: String, rate: impl Into<Gcra>) {
        self.0.push(Bucket { slot, key, rate: rate.into(), full: Moment(0), charged: false });
    }

    /// Whether a bucket is as good as new.
    ///
    /// # Errors
    /// How long to wait, where not.
    pub fn is_full(&self, slot: Slot, now: Moment) -> Result<(), Wait> {
        match self.place(slot).and_then(|place| self.0.get(place)) {
            Some(bucket) if bucket.full > now => Err(now.until(bucket.full)),
            Some(_) => Ok(()),
            None => Err(Wait::Never),
        }
    }

    /// Leaves nothing in a bucket.
    pub fn use_up(&mut self, slot: Slot, now: Moment) {
        let bucket = self.place(slot).and_then(|place| self.0.get_mut(place));
        if let Some(bucket) = bucket {
            (bucket.full, bucket.charged) = (bucket.rate.used_up(now), true);
        }
    }

    fn place(&self, slot: Slot) -> Option<usize> {
        self.0.binary_search_by_key(&slot, |bucket| bucket.slot).ok()
    }

    /// Takes one out of each of these, or out of none.
    ///
    /// # Errors
    /// Where it is not the turn of one of them: the longest that one has to wait.
    pub fn take(&mut self, slots: &[Slot], now: Moment) -> Result<(), Wait> {
        for (place, full) in self.look(slots, now)? {
            if let Some(bucket) = self.0.get_mut(place) {
                // One without limit stays as it is, and need not be kept anew.
                bucket.charged |= bucket.full != full;
                bucket.full = full;
            }
        }
        Ok(())
    }

    /// What would become of each of these, by their places, if one were taken out of it.
    ///
    /// # Errors
    /// As [`Buckets::take`].
    pub fn look(&self, slots: &[Slot], now: Moment) -> Result<Vec<(usize, Moment)>, Wait> {
        let mut taken = Vec::with_capacity(slots.len());
        let mut refused: Option<Wait> = None;
        for slot in slots {
            let place = self.place(*slot);
            let bucket = place.and_then(|place| Some((place, self.0.get(place)?)));
            match bucket.map(|(place, bucket)| (place, bucket.rate.next(bucket.full, now))) {
                Some((place, Ok(full))) => taken.push((place, full)),
                Some((_, Err(wait))) => refused = refused.max(Some(wait)),
                // What the plan does not have is not allowed.
                None => refused = Some(Wait::Never),
            }
        }
        refused.map_or(Ok(taken), Err)
    }

    /// The names of all buckets, in the order of their places.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.0.iter().map(|bucket| bucket.key.clone()).collect()
    }

    /// The buckets that were charged since this was last asked, by their places, and when each is as good
    /// as new.
    pub fn charged(&mut self) -> Vec<(usize, Moment)> {
        let buckets = self.0.iter_mut().enumerate();
        buckets
            .filter_map(|(place, bucket)| {
                std::mem::take(&mut bucket.charged).then_some((place, bucket.full))
            })
            .collect()
    }

    /// All buckets, in the order of their places.
    #[must_use]
    pub fn saved(&self) -> Vec<Saved> {
        let buckets = self.0.iter();
        buckets.map(|bucket| Saved { key: bucket.key.clone(), full: bucket.full }).collect()
    }

    /// How long it takes at most until one of which nothing is left is as good as new, in nanoseconds.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.0.iter().map(|bucket| bucket.rate.used_up(Moment(0)).0).max().unwrap_or_default()
    }

    /// Takes up what was kept. No bucket is fuller than it can be by its own rate: a plan with a
    /// slower rate would else be exceeded, or nobody let through for a day.
    pub fn restore(&mut self, saved: &[Saved], now: Moment) {
        for bucket in &mut self.0 {
            if let Some(kept) = saved.iter().find(|kept| kept.key == bucket.key) {
                bucket.full = kept.full.min(bucket.rate.used_up(now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sandboxd_broker_plan::Millis;

    const SECOND: u64 = 1_000_000_000;

    fn rate(count: u32, burst: u32) -> Gcra {
        Rate::Per { count, period: Millis(1000), burst }.into()
    }

    fn two(first: Gcra, second: Gcra) -> Buckets {
        let bucket = |slot, key: &str, rate| {
            let (key, full) = (key.into(), Moment(0));
            Bucket { slot, key, rate, full, charged: false }
        };
        Buckets(vec![bucket(Slot::All, "all", first), bucket(Slot::Edge(0), "edge", second)])
    }

    #[test]
    fn zero_allows_nothing_and_unlimited_is_a_word() {
        assert_eq!(rate(0, 5).next(Moment(0), Moment(0)), Err(Wait::Never));
        assert_eq!(rate(5, 0).next(Moment(0), Moment(0)), Err(Wait::Never));
        assert!(Gcra::from(Rate::Unlimited).next(Moment(0), Moment(0)).is_ok());
    }

    #[test]
    fn a_call_that_one_bucket_refuses_is_charged_to_none() {
        let mut both = two(rate(1, 1), rate(1, 2));
        let slots = [Slot::All, Slot::Edge(0)];
        assert!(both.take(&slots, Moment(SECOND)).is_ok());
        for _ in 0..100 {
            assert_eq!(both.take(&slots, Moment(SECOND)), Err(Wait::Seconds(1)));
        }
        assert!(both.take(&[Slot::Edge(0)], Moment(SECOND)).is_ok(), "the edge was not charged");
        assert_eq!(both.take(&[Slot::Callee(7)], Moment(SECOND)), Err(Wait::Never));
    }

    #[test]
    fn a_restart_gives_nothing_back() {
        let now = Moment(SECOND);
        let slots = [Slot::All, Slot::Edge(0)];
        let mut before = two(rate(1, 1), rate(1, 1));
        assert!(before.take(&slots, now).is_ok());
        let mut after = two(rate(1, 1), rate(1, 1));
        after.restore(&before.saved(), now);
        assert!(after.take(&slots, now).is_err());
        let far = [Saved { key: "all".into(), full: Moment(u64::MAX) }];
        after.restore(&far, now);
        assert!(after.take(&[Slot::All], now).is_err());
        assert!(after.take(&[Slot::All], Moment(2 * SECOND)).is_ok(), "not locked out for ever");
    }

    #[test]
    fn what_is_used_up_is_so_for_a_while_and_after_a_restart() {
        let now = Moment(SECOND);
        let mut before = two(rate(1, 1), rate(1, 1));
        assert!(before.is_full(Slot::All, now).is_ok());
        before.use_up(Slot::All, now);
        let mut after = two(rate(1, 1), rate(1, 1));
        assert_eq!(before.charged(), [(0, Moment(2 * SECOND))]);
        after.restore(&before.saved(), now);
        for buckets in [before, after] {
            assert_eq!(buckets.is_full(Slot::All, now), Err(Wait::Seconds(1)));
            assert!(buckets.is_full(Slot::All, Moment(2 * SECOND)).is_ok());
            assert!(buckets.is_full(Slot::Edge(0), now).is_ok());
            assert!(buckets.is_full(Slot::Edge(1), now).is_err(), "the plan does not have it");
        }
    }

    #[test]
    fn the_longest_wait_is_that_of_the_slowest_bucket() {
        assert_eq!(two(rate(1, 1), rate(1, 7)).longest(), 7 * SECOND);
        assert_eq!(two(Gcra::Nothing, Gcra::Everything).longest(), 0);
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_burst_and_rate_allow(
            count in 1_u32..50, burst in 1_u32..20,
            gaps in proptest::collection::vec(0_u64..SECOND / 4, 1..200),
        ) {
            let gcra = rate(count, burst);
            let (mut now, mut full, mut passed) = (Moment(SECOND), Moment(0), Vec::new());
            for gap in gaps {
                now = Moment(now.0 + gap);
                if let Ok(next) = gcra.next(full, now) {
                    full = next;
                    passed.push(now.0);
                }
            }
            for (place, first) in passed.iter().enumerate() {
                for (more, last) in passed[place..].iter().enumerate() {
                    let allowed = u64::from(burst) + (last - first) * u64::from(count) / SECOND + 1;
                    prop_assert!(u64::try_from(more).unwrap() <= allowed);
                }
            }
        }
    }
}
