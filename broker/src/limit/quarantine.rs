//! A caller that is denied again and again is refused everything for a while: it is looking for a way
//! round, or it loops. How long that lasts is in its bucket too, which outlives it, where it has one.

use super::{Moment, Wait};
use sandboxd_broker_plan::Quarantine;
use std::collections::VecDeque;

/// The tripwire of one caller, or of one of its processes.
#[derive(Debug)]
pub struct Tripwire {
    rule: Quarantine,
    denials: VecDeque<Moment>,
    /// Until when its caller is not heard.
    until: Moment,
}

impl Tripwire {
    /// One that nobody has touched.
    #[must_use]
    pub const fn new(rule: Quarantine) -> Self {
        Self { rule, denials: VecDeque::new(), until: Moment(0) }
    }

    /// The caller was denied something. True where that was once too often.
    pub fn denied(&mut self, now: Moment) -> bool {
        while self.denials.front().is_some_and(|then| then.after(self.rule.window) < now) {
            self.denials.pop_front();
        }
        self.denials.push_back(now);
        if u64::try_from(self.denials.len()).unwrap_or(u64::MAX) <= self.rule.denials.into() {
            return false;
        }
        self.denials.clear();
        self.until = now.after(self.rule.length);
        true
    }

    /// Whether its caller is heard.
    ///
    /// # Errors
    /// How long to wait, where not.
    pub fn rests(&self, now: Moment) -> Result<(), Wait> {
        if now < self.until { Err(now.until(self.until)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::Millis;

    #[test]
    fn one_denial_more_than_is_borne_within_its_window_is_too_often() {
        let rule = Quarantine { denials: 5, window: Millis(60_000), length: Millis(60_000) };
        let mut wire = Tripwire::new(rule);
        let now = Moment(1);
        assert!((0..5).all(|_| !wire.denied(now)));
        assert!(wire.denied(now));
        assert!(!wire.denied(now), "they are counted anew");
        let mut slow = Tripwire::new(rule);
        let mut now = Moment(1);
        for _ in 0..100 {
            now = now.after(Millis(20_000));
            assert!(!slow.denied(now));
        }
    }
}
