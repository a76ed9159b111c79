//! How much, how often and how long what is let out may be used that it could not before.

use super::{Direction, Narrowed, Told, Widened, number};
use crate::graph::authority::Out;
use crate::meet::egress::WayOut;
use sandboxd_broker_plan::Bound;
use sandboxd_egress_plan::{Limits, Rule};

/// A limit by its key; the largest number is "unlimited".
type Limit = (&'static str, u64);

impl Told {
    /// The limits of all that goes out, and of each entry that goes nowhere new.
    pub(super) fn way_out(&mut self, who: &str, old: &Out, new: &Out) {
        let (Out::Named(old), Out::Named(new)) = (old, new) else { return };
        for (direction, here, there) in [(Widened, new, old), (Narrowed, old, new)] {
            self.limit(direction, &format!("{who}network"), &more(&all(here), &all(there)));
            for rule in &here.rules {
                let entry = entry(here, rule);
                let wide = there.covering(rule).map(|wide| more(&entry, &self::entry(there, wide)));
                // What is nowhere there has been told; of several the one that gives most counts.
                if let Some(least) = wide.min_by_key(Vec::len) {
                    self.limit(direction, &format!("{who}network {}", rule.written), &least);
                }
            }
        }
    }

    fn limit(&mut self, direction: Direction, of: &str, limits: &[(Limit, u64)]) {
        for ((key, here), there) in limits {
            let (old, new) = if direction == Widened { (there, here) } else { (here, there) };
            self.tell(direction, format!("{of} {key}: {} -> {}", number(*old), number(*new)));
        }
    }
}

/// Those that are higher here, and what they are there.
fn more(here: &[Limit], there: &[Limit]) -> Vec<(Limit, u64)> {
    let pairs = here.iter().zip(there).map(|(here, (_, there))| (*here, *there));
    pairs.filter(|((_, here), there)| here > there).collect()
}

fn all(way: &WayOut) -> Vec<Limit> {
    way.all().map(limits).into_iter().flatten().collect()
}

fn entry(way: &WayOut, rule: &Rule) -> Vec<Limit> {
    let times = [("idle, ms", rule.deadlines.idle), ("total, ms", rule.deadlines.total)];
    let times = times.map(|(key, bound)| (key, most(bound)));
    limits(&way.own(rule)).into_iter().chain(times).collect()
}

fn limits(limits: &Limits) -> [Limit; 5] {
    [
        ("connections", most(limits.connections)),
        ("rate, a day", limits.rate.a_day()),
        ("rate, at once", limits.rate.at_once()),
        ("up", most(limits.up)),
        ("down", most(limits.down)),
    ]
}

const fn most(bound: Bound) -> u64 {
    match bound {
        Bound::AtMost(most) => most,
        Bound::Unlimited => u64::MAX,
    }
}
