//! A callee that fails is left alone for a while, so that its callers get an answer at once and it
//! gets a rest.
//!
//! Failing is to crash, to miss a deadline, to answer what is no answer. A refusal of ours and an
//! error that the tool tells are none: they say that it works.

use super::{Moment, Wait};
use sandboxd_broker_plan::{Breaker, Millis};
use std::collections::VecDeque;

/// Calls that are remembered, however many there are within the window.
const REMEMBERED: usize = 1024;

/// The breaker of one callee, or of those of its processes that are one caller's.
#[derive(Debug)]
pub struct Fuse {
    rule: Breaker,
    past: VecDeque<(Moment, bool)>,
    /// How many of them failed.
    failed: usize,
    consecutive: u32,
    state: State,
    pause: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Moment },
    Trying,
}

/// What a breaker is, for whoever watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Position {
    /// Calls go through.
    #[default]
    Closed,
    /// One does, and the others wait for how it ends.
    Trying,
    /// None does, until it has had its rest and one more is made.
    Open,
}

impl Position {
    /// As a number.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Trying => 1,
            Self::Open => 2,
        }
    }

    /// That of a number.
    #[must_use]
    pub fn of(number: u64) -> Option<Self> {
        [Self::Closed, Self::Trying, Self::Open].into_iter().find(|one| one.number() == number)
    }
}

impl Fuse {
    /// One that is closed: calls go through.
    #[must_use]
    pub const fn new(rule: Breaker) -> Self {
        let state = State::Closed;
        let past = VecDeque::new();
        Self { rule, past, failed: 0, consecutive: 0, state, pause: rule.first }
    }

    /// What it is, until the next call.
    #[must_use]
    pub const fn position(&self) -> Position {
        match self.state {
            State::Closed => Position::Closed,
            State::Trying => Position::Trying,
            State::Open { .. } => Position::Open,
        }
    }

    /// Whether the callee has its rest: whatever is not tried by a call goes through else.
    ///
    /// # Errors
    /// How long to wait, where it does.
    pub fn rests(&self, now: Moment) -> Result<(), Wait> {
        match self.state {
            State::Open { until } if now < until => Err(now.until(until)),
            State::Closed | State::Open { .. } | State::Trying => Ok(()),
        }
    }

    /// Whether a call would be let through now, were it made.
    ///
    /// # Errors
    /// How long to wait, where not.
    pub fn look(&self, now: Moment) -> Result<(), Wait> {
        match self.state {
            State::Trying => Err(now.until(now.after(self.rule.first))),
            State::Closed | State::Open { .. } => self.rests(now),
        }
    }

    /// Lets a call through, which goes on at once. After the pause one does, and the others wait for how it ends.
    ///
    /// # Errors
    /// How long to wait, where it may not.
    pub fn admit(&mut self, now: Moment) -> Result<(), Wait> {
        self.look(now)?;
        if self.state != State::Closed {
            self.state = State::Trying;
        }
        Ok(())
    }

    /// A call that was let through will not be made, so nothing is known from it.
    pub fn withdraw(&mut self, now: Moment) {
        if self.state == State::Trying {
            self.state = State::Open { until: now };
        }
    }

    /// How a call ended. True where the breaker opened by it.
    pub fn ended(&mut self, worked: bool, now: Moment) -> bool {
        // What fails once it had its rest, as to start, was tried too, though by no call.
        let rested = matches!(self.state, State::Open { until } if until <= now);
        if self.state == State::Trying || (rested && !worked) {
            if worked {
                self.past.clear();
                self.failed = 0;
                (self.state, self.consecutive, self.pause) = (State::Closed, 0, self.rule.first);
                return false;
            }
            self.pause = Millis(self.pause.0.saturating_mul(2).min(self.rule.longest.0));
            self.state = State::Open { until: now.after(self.pause) };
            return true;
        }
        self.consecutive = if worked { 0 } else { self.consecutive.saturating_add(1) };
        self.past.push_back((now, worked));
        self.failed += usize::from(!worked);
        while self.past.len() > REMEMBERED
            || self.past.front().is_some_and(|(then, _)| then.after(self.rule.window) < now)
        {
            let forgotten = self.past.pop_front();
            self.failed -= usize::from(matches!(forgotten, Some((_, false))));
        }
        if self.state != State::Closed || !self.fails() {
            return false;
        }
        self.state = State::Open { until: now.after(self.pause) };
        true
    }

    fn fails(&self) -> bool {
        let (failed, all) = (self.failed, self.past.len());
        let enough = u32::try_from(all).is_ok_and(|all| all >= self.rule.calls);
        let share = u64::try_from(failed).unwrap_or(u64::MAX).saturating_mul(100)
            >= u64::try_from(all).unwrap_or(0).saturating_mul(self.rule.percent.into());
        failed > 0 && (self.consecutive >= self.rule.consecutive || (enough && share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn fuse() -> Fuse {
        Fuse::new(Breaker {
            window: Millis(30_000),
            percent: 50,
            calls: 10,
            consecutive: 5,
            first: Millis(5000),
            longest: Millis(60_000),
        })
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_good_call_closes_it() {
        let mut fuse = fuse();
        let now = Moment(100 * SECOND);
        assert!((0..4).all(|_| !fuse.ended(false, now)));
        assert!(fuse.ended(false, now));
        assert_eq!(fuse.admit(now), Err(Wait::Seconds(5)));
        let later = now.after(Millis(5000));
        assert_eq!(fuse.admit(later), Ok(()));
        assert!(fuse.admit(later).is_err(), "one call tries, the others wait");
        assert!(!fuse.ended(true, later));
        assert_eq!(fuse.admit(later), Ok(()));
    }

    #[test]
    fn the_pause_doubles_and_ends_at_the_longest() {
        let mut fuse = fuse();
        let mut now = Moment(SECOND);
        for _ in 0..5 {
            fuse.ended(false, now);
        }
        for pause in [10, 20, 40, 60, 60] {
            now = now.after(Millis(60_000));
            assert_eq!(fuse.admit(now), Ok(()));
            fuse.ended(false, now);
            assert_eq!(fuse.admit(now), Err(Wait::Seconds(pause)));
        }
    }

    #[test]
    fn half_of_ten_opens_it_and_what_is_long_past_does_not_count() {
        let mut half = fuse();
        let now = Moment(SECOND);
        assert!((0..9).all(|turn| !half.ended(turn % 2 == 0, now)));
        assert!(half.ended(false, now));
        let mut slow = fuse();
        let mut now = Moment(SECOND);
        for turn in 0..100 {
            now = now.after(Millis(10_000));
            assert!(!slow.ended(turn % 2 == 0, now), "never ten within the window");
        }
    }

    #[test]
    fn a_try_that_is_not_made_leaves_room_for_another() {
        let mut fuse = fuse();
        let now = Moment(SECOND);
        for _ in 0..5 {
            fuse.ended(false, now);
        }
        let later = now.after(Millis(5000));
        assert_eq!(fuse.admit(later), Ok(()));
        fuse.withdraw(later);
        assert_eq!(fuse.admit(later), Ok(()));
    }
}
