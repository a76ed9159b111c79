//! How much, how often and how long: each rule has its accounts, alone or with others.

use sandboxd_broker::limit::{Fuse, Gcra, Moment};
use sandboxd_egress_plan::{Bound, Breaker, EgressPlan, Limits, Verdict};
use std::collections::BTreeMap;

use crate::rule::Place;

/// Upstreams of which is remembered how they did.
const UPSTREAMS: usize = 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Out of the sandbox.
    Up,
    /// Into it.
    Down,
}

/// What one rule, or several together, have used.
#[derive(Debug)]
struct Account {
    limits: Limits,
    rate: Gcra,
    full: Moment,
    open: u64,
    up: u64,
    down: u64,
}

impl Account {
    fn new(limits: Limits) -> Self {
        Self { limits, rate: limits.rate.into(), full: Moment(0), open: 0, up: 0, down: 0 }
    }

    const fn left(&self, direction: Direction) -> u64 {
        let (limit, used) = match direction {
            Direction::Up => (self.limits.up, self.up),
            Direction::Down => (self.limits.down, self.down),
        };
        match limit {
            Bound::AtMost(most) => most.saturating_sub(used),
            Bound::Unlimited => u64::MAX,
        }
    }

    const fn count(&mut self, direction: Direction, bytes: u64) {
        let used = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        *used = used.saturating_add(bytes);
    }
}

/// All accounts of a plan, and which of them bear what.
#[derive(Debug)]
pub struct Ledger {
    accounts: Vec<Account>,
    /// The places of those that bear each rule.
    rules: Vec<Vec<usize>>,
}

impl Ledger {
    /// Nothing is used yet.
    #[must_use]
    pub fn new(plan: &EgressPlan) -> Self {
        let accounts: Vec<Account> = plan.accounts.iter().copied().map(Account::new).collect();
        // One that is not there is not passed over: it is full.
        let place = |at: &u32| usize::try_from(*at).unwrap_or(usize::MAX);
        let rules = plan.rules.iter().map(|rule| rule.accounts.iter().map(place).collect());
        Self { rules: rules.collect(), accounts }
    }

    fn bearing(&self, rule: usize) -> impl Iterator<Item = Option<&Account>> {
        let places = self.rules.get(rule).into_iter().flatten();
        places.map(|place| self.accounts.get(*place))
    }

    /// Changes each of them.
    fn change(&mut self, rule: usize, mut change: impl FnMut(&mut Account)) {
        for place in self.rules.get(rule).into_iter().flatten() {
            self.accounts.get_mut(*place).into_iter().for_each(&mut change);
        }
    }

    /// One more connection under this rule: all of its accounts bear it, or none.
    ///
    /// # Errors
    /// Which of its limits it exceeds.
    pub fn open(&mut self, rule: usize, now: Moment) -> Result<(), Verdict> {
        for account in self.bearing(rule) {
            let account = account.ok_or(Verdict::NoRule)?;
            if !account.limits.connections.admits(account.open) {
                return Err(Verdict::Connections);
            }
            if account.left(Direction::Up) == 0 || account.left(Direction::Down) == 0 {
                return Err(Verdict::Spent);
            }
        }
        self.request(rule, now)?;
        self.change(rule, |account| account.open += 1);
        Ok(())
    }

    /// One more request: one out of all buckets, or out of none.
    fn request(&mut self, rule: usize, now: Moment) -> Result<(), Verdict> {
        let mut full = Vec::new();
        for account in self.bearing(rule) {
            let account = account.ok_or(Verdict::NoRule)?;
            full.push(account.rate.next(account.full, now).map_err(|_| Verdict::Rate)?);
        }
        if full.is_empty() {
            return Err(Verdict::NoRule);
        }
        let mut full = full.into_iter();
        self.change(rule, |account| account.full = full.next().unwrap_or(account.full));
        Ok(())
    }

    /// A connection that is open under one rule goes on under another, whose accounts bear it as one that is
    /// opened. What bears both has one connection all the while.
    ///
    /// # Errors
    /// Which of the limits it exceeds; it is open under the first then, as before.
    pub fn pass(&mut self, from: usize, to: usize, now: Moment) -> Result<(), Verdict> {
        self.close(from);
        let passed = self.open(to, now);
        if passed.is_err() {
            self.change(from, |account| account.open += 1);
        }
        passed
    }

    /// A connection that was opened is closed.
    pub fn close(&mut self, rule: usize) {
        self.change(rule, |account| account.open = account.open.saturating_sub(1));
    }

    /// How many bytes may still go this way.
    #[must_use]
    pub fn left(&self, rule: usize, direction: Direction) -> u64 {
        let left = self.bearing(rule).map(|one| one.map_or(0, |one| one.left(direction)));
        left.min().unwrap_or(0)
    }

    /// So many bytes went.
    pub fn count(&mut self, rule: usize, direction: Direction, bytes: u64) {
        self.change(rule, |account| account.count(direction, bytes));
    }
}

/// The breaker of each upstream.
#[derive(Debug)]
pub struct Fuses {
    rule: Breaker,
    fuses: BTreeMap<Place, (Moment, Fuse)>,
}

impl Fuses {
    /// All are closed: connections go through.
    #[must_use]
    pub const fn new(rule: Breaker) -> Self {
        Self { rule, fuses: BTreeMap::new() }
    }

    /// Whether an upstream may be connected to now. Who is let through says how it ended.
    ///
    /// # Errors
    /// Where it is left alone.
    pub fn admit(&mut self, place: &Place, now: Moment) -> Result<(), Verdict> {
        match self.fuses.get_mut(place) {
            Some((used, fuse)) => {
                *used = now;
                fuse.admit(now).map_err(|_| Verdict::Broken)
            }
            None => Ok(()),
        }
    }

    /// How a connection to an upstream ended that was let through. One that never failed needs no
    /// fuse.
    pub fn ended(&mut self, place: &Place, worked: bool, now: Moment) {
        if worked && !self.fuses.contains_key(place) {
            return;
        }
        if self.fuses.len() >= UPSTREAMS && !self.fuses.contains_key(place) {
            let oldest = self.fuses.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(place, _)| place.clone()) {
                self.fuses.remove(&oldest);
            }
        }
        let new = || (now, Fuse::new(self.rule));
        let (used, fuse) = self.fuses.entry(place.clone()).or_insert_with(new);
        *used = now;
        fuse.ended(worked, now);
    }

    /// A connection that was let through was not tried.
    pub fn withdraw(&mut self, place: &Place, now: Moment) {
        if let Some((_, fuse)) = self.fuses.get_mut(place) {
            fuse.withdraw(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{
        Whom,
        tests::{UNLIMITED, host},
    };
    use sandboxd_egress_plan::{Millis, Rate};

    const SECOND: u64 = 1_000_000_000;

    fn ledger(all: Limits, own: Limits) -> Ledger {
        let accounts = [all, own, UNLIMITED].map(Account::new).into();
        Ledger { accounts, rules: vec![vec![0, 1], vec![0, 2]] }
    }

    #[test]
    fn zero_allows_nothing() {
        for limits in [
            Limits { connections: Bound::AtMost(0), ..UNLIMITED },
            Limits { rate: Rate::Per { count: 0, period: Millis(1000), burst: 1 }, ..UNLIMITED },
            Limits { up: Bound::AtMost(0), ..UNLIMITED },
            Limits { down: Bound::AtMost(0), ..UNLIMITED },
        ] {
            assert!(ledger(limits, UNLIMITED).open(0, Moment(SECOND)).is_err());
            assert!(ledger(UNLIMITED, limits).open(0, Moment(SECOND)).is_err());
            assert!(ledger(UNLIMITED, limits).open(1, Moment(SECOND)).is_ok());
        }
        assert_eq!(ledger(UNLIMITED, UNLIMITED).open(2, Moment(SECOND)), Err(Verdict::NoRule));
    }

    #[test]
    fn a_rule_whose_account_is_not_there_lets_nothing_out() {
        for rule in [vec![], vec![0, 3]] {
            let mut ledger = Ledger { rules: vec![rule], ..ledger(UNLIMITED, UNLIMITED) };
            assert_eq!(ledger.open(0, Moment(SECOND)), Err(Verdict::NoRule));
            assert_eq!(ledger.left(0, Direction::Up), 0);
        }
    }

    #[test]
    fn what_one_account_refuses_the_other_does_not_bear() {
        let now = Moment(SECOND);
        let one = Limits { connections: Bound::AtMost(1), ..UNLIMITED };
        let mut ledger = ledger(Limits { connections: Bound::AtMost(2), ..UNLIMITED }, one);
        assert_eq!(ledger.open(0, now), Ok(()));
        for _ in 0..10 {
            assert_eq!(ledger.open(0, now), Err(Verdict::Connections));
        }
        assert_eq!(ledger.open(1, now), Ok(()), "all together bore one");
        assert_eq!(ledger.open(1, now), Err(Verdict::Connections));
        ledger.close(0);
        assert_eq!(ledger.open(0, now), Ok(()));
        let slow =
            Limits { rate: Rate::Per { count: 1, period: Millis(1000), burst: 1 }, ..UNLIMITED };
        let two =
            Limits { rate: Rate::Per { count: 1, period: Millis(1000), burst: 2 }, ..UNLIMITED };
        let mut ledger = super::tests::ledger(two, slow);
        assert_eq!(ledger.open(0, now), Ok(()));
        assert_eq!(ledger.request(0, now), Err(Verdict::Rate));
        assert_eq!(ledger.open(1, now), Ok(()), "all together bore one");
        assert_eq!(ledger.open(1, now), Err(Verdict::Rate));
    }

    #[test]
    fn a_connection_that_goes_on_under_another_rule_is_borne_by_that_one() {
        let now = Moment(SECOND);
        let one = Limits { connections: Bound::AtMost(1), ..UNLIMITED };
        let mut ledger = ledger(Limits { connections: Bound::AtMost(2), ..UNLIMITED }, one);
        assert_eq!((ledger.open(0, now), ledger.open(1, now)), (Ok(()), Ok(())));
        assert_eq!(ledger.pass(1, 0, now), Err(Verdict::Connections));
        assert_eq!(ledger.pass(0, 1, now), Ok(()), "all together have two, as before");
        assert_eq!(ledger.pass(1, 0, now), Ok(()), "it has room again");
        assert_eq!(ledger.open(1, now), Err(Verdict::Connections), "two are open");
        assert_eq!(ledger.pass(0, 0, now), Ok(()), "it is the same one");
        ledger.close(0);
        ledger.close(1);
        assert_eq!((ledger.open(0, now), ledger.open(1, now)), (Ok(()), Ok(())));
    }

    #[test]
    fn bytes_are_used_up_for_ever() {
        let now = Moment(SECOND);
        let most = Limits { up: Bound::AtMost(10), ..UNLIMITED };
        let mut ledger = ledger(Limits { up: Bound::AtMost(15), ..UNLIMITED }, most);
        ledger.count(0, Direction::Up, 4);
        assert_eq!(ledger.left(0, Direction::Up), 6);
        assert_eq!(ledger.left(0, Direction::Down), u64::MAX);
        ledger.count(1, Direction::Up, 8);
        assert_eq!(ledger.left(0, Direction::Up), 3);
        ledger.count(0, Direction::Up, 3);
        assert_eq!(ledger.open(0, now), Err(Verdict::Spent));
        assert_eq!(ledger.open(1, now), Err(Verdict::Spent));
    }

    #[test]
    fn an_upstream_that_fails_is_left_alone_and_the_others_are_not() {
        let rule = Breaker {
            window: Millis(30_000),
            percent: 100,
            calls: 100,
            consecutive: 3,
            first: Millis(5000),
            longest: Millis(60_000),
        };
        let mut fuses = Fuses::new(rule);
        let place = |port| Place { whom: Whom::Name(host("a.example")), port };
        let now = Moment(SECOND);
        for _ in 0..3 {
            assert_eq!(fuses.admit(&place(1), now), Ok(()));
            fuses.ended(&place(1), false, now);
        }
        assert_eq!(fuses.admit(&place(1), now), Err(Verdict::Broken));
        assert_eq!(fuses.admit(&place(2), now), Ok(()));
        let later = now.after(Millis(5000));
        assert_eq!(fuses.admit(&place(1), later), Ok(()));
        fuses.withdraw(&place(1), later);
        assert_eq!(fuses.admit(&place(1), later), Ok(()));
        fuses.ended(&place(1), true, later);
        assert_eq!(fuses.admit(&place(1), later), Ok(()));
        for port in 2..=5000 {
            fuses.ended(&place(port), false, later);
        }
        assert_eq!(fuses.fuses.len(), UPSTREAMS);
    }
}
