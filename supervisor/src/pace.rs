//! How often something may happen: so many at once, and then one in so long a time.

use std::time::{Duration, Instant};

/// Calls that a broker passes on, at most: more than three times what its plan lets it.
const CALL: Duration = Duration::from_micros(2500);
const CALLS_AT_ONCE: u32 = 2000;
/// Of each caller, for what it asks that is no call.
const OF_EACH: u32 = 100;
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

    /// That of the calls of so many callers.
    pub(crate) const fn of_calls(callers: u32) -> Self {
        Self::new(CALLS_AT_ONCE.saturating_add(callers.saturating_mul(OF_EACH)), CALL)
    }

    /// That of what one caller is refused.
    pub(crate) const fn of_refusals() -> Self {
        Self::new(REFUSALS_AT_ONCE, REFUSAL)
    }

    /// That of what one sandbox is let out to.
    pub(crate) const fn of_connections() -> Self {
        Self::new(CONNECTIONS_AT_ONCE, CONNECTION)
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
