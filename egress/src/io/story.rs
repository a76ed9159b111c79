//! What is known of a connection while it goes through its steps; at its end it is one record.

use crate::rule::{Place, Whom};
use sandboxd_egress_plan::{
    Record, Verdict,
    record::{self, Way},
};
use std::{cell::Cell, net::IpAddr, time::Instant};

/// What is known of a connection so far.
#[derive(Debug)]
pub(super) struct Story {
    way: Way,
    since: Instant,
    pub(super) place: Option<Place>,
    pub(super) rule: Cell<Option<usize>>,
    pub(super) address: Option<IpAddr>,
    pub(super) up: Cell<u64>,
    pub(super) down: Cell<u64>,
    /// What was put into its requests, and how many those are.
    puts: Cell<(u64, u32)>,
}

impl Story {
    pub(super) fn new(way: Way) -> Self {
        let (up, down, rule) = (Cell::new(0), Cell::new(0), Cell::new(None));
        let (since, puts) = (Instant::now(), Cell::default());
        Self { way, since, place: None, rule, address: None, up, down, puts }
    }

    /// These secrets were put into a request.
    pub(super) fn put(&self, numbers: impl Iterator<Item = u32>) {
        let bits = numbers.fold(0, |all, number| all | 1_u64.checked_shl(number).unwrap_or(0));
        let (secrets, requests) = self.puts.get();
        self.puts.set((secrets | bits, requests.saturating_add(1)));
    }

    pub(super) fn record(&self, verdict: Verdict) -> Record {
        let whom = self.place.as_ref().map(|place| &place.whom);
        let asked = match whom {
            Some(Whom::Address(address)) => Some(*address),
            Some(Whom::Name(_)) | None => None,
        };
        Record {
            verdict,
            way: self.way,
            rule: self.rule.get().and_then(|rule| u32::try_from(rule).ok()),
            name: whom.and_then(Whom::name).cloned(),
            address: self.address.or(asked).and_then(record::address),
            port: self.place.as_ref().map_or(0, |place| place.port),
            up: self.up.get(),
            down: self.down.get(),
            millis: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            secrets: self.puts.get().0,
            puts: self.puts.get().1,
        }
    }
}
