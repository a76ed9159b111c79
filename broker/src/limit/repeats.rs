//! The very same call, again and again: a model that loops. It is told so.

use super::{Moment, Wait};
use sandboxd_broker_plan::{Bound, Repeats};
use std::collections::HashMap;

/// Calls that are told apart. What exceeds it is forgotten, the oldest windows first.
const TOLD_APART: usize = 4096;

/// The calls of one edge, by their digest.
#[derive(Debug)]
pub struct Repeated {
    rule: Repeats,
    calls: HashMap<[u8; 32], (Moment, u64)>,
}

impl Repeated {
    /// None made yet.
    #[must_use]
    pub fn new(rule: Repeats) -> Self {
        Self { rule, calls: HashMap::new() }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// How long to wait, where it was made too often.
    pub fn admit(&mut self, digest: [u8; 32], now: Moment) -> Result<(), Wait> {
        match self.rule.most {
            Bound::Unlimited => return Ok(()),
            Bound::AtMost(0) => return Err(Wait::Never),
            Bound::AtMost(_) => {}
        }
        if self.calls.len() >= TOLD_APART && !self.calls.contains_key(&digest) {
            self.forget(now);
        }
        let (began, count) = self.calls.entry(digest).or_insert((now, 0));
        if began.after(self.rule.window) <= now {
            (*began, *count) = (now, 0);
        }
        if !self.rule.most.admits(*count) {
            return Err(now.until(began.after(self.rule.window)));
        }
        *count += 1;
        Ok(())
    }

    fn forget(&mut self, now: Moment) {
        let window = self.rule.window;
        self.calls.retain(|_, (began, _)| began.after(window) > now);
        if self.calls.len() >= TOLD_APART {
            let mut begins: Vec<Moment> = self.calls.values().map(|(began, _)| *began).collect();
            begins.sort_unstable();
            let middle = begins.get(begins.len() / 2).copied().unwrap_or(now);
            self.calls.retain(|_, (began, _)| *began > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::Millis;

    fn repeated(most: Bound) -> Repeated {
        Repeated::new(Repeats { most, window: Millis(60_000) })
    }

    #[test]
    fn the_same_call_too_often_is_refused_and_another_is_not() {
        let mut calls = repeated(Bound::AtMost(20));
        let now = Moment(7);
        assert!((0..20).all(|_| calls.admit([1; 32], now).is_ok()));
        assert_eq!(calls.admit([1; 32], now), Err(Wait::Seconds(60)));
        assert!(calls.admit([2; 32], now).is_ok());
        assert!(calls.admit([1; 32], now.after(Millis(60_000))).is_ok());
        assert_eq!(repeated(Bound::AtMost(0)).admit([1; 32], now), Err(Wait::Never));
    }

    #[test]
    fn a_flood_of_different_calls_takes_no_memory_without_end() {
        let mut calls = repeated(Bound::AtMost(20));
        for turn in 0..20_000_u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&turn.to_le_bytes());
            assert!(calls.admit(digest, Moment(turn)).is_ok());
            assert!(calls.calls.len() <= TOLD_APART);
        }
    }
}
