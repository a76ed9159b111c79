//! How often something may happen: so many at once, and then one in so long a time.

use sandboxd_broker_plan::Rate;
use std::time::{Duration, Instant};

/// Calls that a broker passes on, at most: so many times what its plan lets it.
const TIMES: u32 = 4;
/// Of each caller, for what it asks that is no call and no list.
const OF_EACH: u64 = 100;
/// What a caller can bring about as often as it likes.
const REFUSAL: Duration = Duration::from_millis(100);
const REFUSALS_AT_ONCE: u32 = 200;

/// Connections out of one sandbox that were carried.
const CONNECTION: Duration = Duration::from_millis(50);
const CONNECTIONS_AT_ONCE: u32 = 1000;

/// A pace that is kept.
#[derive(Debug)]
pub(crate) struct Pace {
    each: Duration,
    /// How far `next` may lie ahead.
    ahead: Duration,
    next: Option<Instant>,
}

impl Pace {
    const fn new(at_once: u32, each: Duration) -> Self {
        Self { each, ahead: each.saturating_mul(at_once), next: None }
    }

    /// That of the calls of a run, whose callers all together may call so often, and each may ask so often what
    /// there is; nothing where they may without limit.
    pub(crate) fn of_calls(rate: Rate, lists: &[Rate]) -> Option<Self> {
        let Rate::Per { count, period, burst } = rate else { return None };
        let each = Duration::from_millis(period.0) / count.saturating_mul(TIMES).max(1);
        let of_each = |lists: &Rate| lists.at_once().saturating_add(OF_EACH);
        let lists = lists.iter().map(of_each).fold(0, u64::saturating_add);
        let at_once = u64::from(burst).saturating_mul(u64::from(TIMES)).saturating_add(lists);
        Some(Self::new(u32::try_from(at_once).unwrap_or(u32::MAX), each))
    }

    /// That of what one caller is refused.
    pub(crate) const fn of_refusals() -> Self {
        Self::new(REFUSALS_AT_ONCE, REFUSAL)
    }

    /// That of what one sandbox is let out to.
    pub(crate) const fn of_connections() -> Self {
        Self::new(CONNECTIONS_AT_ONCE, CONNECTION)
    }

    /// Whether as many as may be at once could come again.
    pub(crate) fn is_rested(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// Whether one more is within it.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        let next = self.next.map_or(now, |next| next.max(now)) + self.each;
        let within = next.saturating_duration_since(now) <= self.ahead;
        if within {
            self.next = Some(next);
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::Millis;

    #[test]
    fn calls_come_no_faster_than_some_times_what_the_plan_lets_be() {
        let now = Instant::now();
        let rate = Rate::Per { count: 6000, period: Millis(60_000), burst: 600 };
        let lists = Rate::Per { count: 60, period: Millis(60_000), burst: 60 };
        let mut pace = Pace::of_calls(rate, &[lists; 3]).unwrap();
        let admitted = |pace: &mut Pace, now| (0..5000).filter(|_| pace.admits(now)).count();
        assert_eq!(admitted(&mut pace, now), 2400 + 3 * 160);
        assert_eq!(admitted(&mut pace, now + Duration::from_secs(1)), 400);
        assert!(Pace::of_calls(Rate::Unlimited, &[lists]).is_none());
        let never = Rate::Per { count: 0, period: Millis(1000), burst: 0 };
        assert_eq!(admitted(&mut Pace::of_calls(never, &[never]).unwrap(), now), 100);
    }

    #[test]
    fn so_many_at_once_and_then_one_in_a_time() {
        let now = Instant::now();
        let mut pace = Pace::of_refusals();
        let admitted = |pace: &mut Pace, now| (0..1000).filter(|_| pace.admits(now)).count();
        assert_eq!(admitted(&mut pace, now), 200);
        assert_eq!(admitted(&mut pace, now + REFUSAL * 3), 3);
        assert_eq!(admitted(&mut pace, now + REFUSAL * 1000), 200);
    }
}
