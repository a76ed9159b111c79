//! What went out of a run by each entry that lets it out.

use super::decisions::is_refused;
use sandboxd_egress_plan::{Record, Rule};
use serde::Serialize;
use std::cmp::Reverse;

/// So many entries are told, those with the most bytes first; what went by others is in the sums alone.
const TOLD: usize = 64;

/// What went out by one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByEntry {
    /// As the profiles have it.
    pub entry: String,
    /// Connections that were carried.
    pub connections: u64,
    /// Connections that it has and that were refused all the same: a limit, a host that does not answer.
    pub refused: u64,
    /// Bytes that left.
    pub up_bytes: u64,
    /// Bytes that came back.
    pub down_bytes: u64,
}

/// All of them, by their places in the plan.
#[derive(Debug, Default)]
pub(super) struct Entries(Vec<ByEntry>);

impl Entries {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let none = |rule: &Rule| ByEntry {
            entry: rule.written.clone(),
            connections: 0,
            refused: 0,
            up_bytes: 0,
            down_bytes: 0,
        };
        Self(rules.iter().map(none).collect())
    }

    /// Counts one more. What is under no entry is in the sums alone.
    pub(super) fn count(&mut self, record: &Record) {
        let place = record.rule.and_then(|place| usize::try_from(place).ok());
        let Some(by) = place.and_then(|place| self.0.get_mut(place)) else { return };
        let times = if is_refused(record.verdict) { &mut by.refused } else { &mut by.connections };
        *times = times.saturating_add(1);
        by.up_bytes = by.up_bytes.saturating_add(record.up);
        by.down_bytes = by.down_bytes.saturating_add(record.down);
    }

    /// Those by which anything went, or would have gone.
    pub(super) fn told(self) -> Vec<ByEntry> {
        let mut told = self.0;
        told.retain(|by| by.connections > 0 || by.refused > 0);
        told.sort_by_key(|by| Reverse(by.up_bytes.saturating_add(by.down_bytes)));
        told.truncate(TOLD);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_egress_plan::record::Way;
    use sandboxd_egress_plan::{Bound, Carries, Deadlines, Target, Verdict};

    fn told(rule: Option<u32>, verdict: Verdict, up: u64) -> Record {
        Record {
            verdict,
            way: Way::Proxy,
            rule,
            name: None,
            address: None,
            port: 443,
            up,
            down: 1,
            millis: 0,
            secrets: 0,
            puts: 0,
        }
    }

    #[test]
    fn each_entry_has_its_own_numbers_and_the_busiest_are_told() {
        let rule = |number: usize| Rule {
            written: format!("h{number}.example:443"),
            target: Target::Host,
            port: 443,
            carries: Carries::Tls,
            within: Vec::new(),
            own: Vec::new(),
            accounts: vec![0],
            deadlines: Deadlines { idle: Bound::Unlimited, total: Bound::Unlimited },
            model: false,
        };
        let rules: Vec<Rule> = (0..100).map(rule).collect();
        let mut entries = Entries::of(&rules);
        entries.count(&told(Some(1), Verdict::Carried, 10));
        entries.count(&told(Some(1), Verdict::Unreachable, 0));
        entries.count(&told(Some(2), Verdict::Carried, 99));
        // No entry, and none that there is.
        entries.count(&told(None, Verdict::NoRule, 5));
        entries.count(&told(Some(100), Verdict::Carried, 5));
        let by = |number: usize, connections, refused, up_bytes, down_bytes| ByEntry {
            entry: format!("h{number}.example:443"),
            connections,
            refused,
            up_bytes,
            down_bytes,
        };
        assert_eq!(entries.told(), [by(2, 1, 0, 99, 1), by(1, 1, 1, 10, 2)]);

        let mut all = Entries::of(&rules);
        (0..100).for_each(|place| all.count(&told(Some(place), Verdict::Carried, place.into())));
        let all = all.told();
        assert_eq!((all.len(), all[0].entry.as_str()), (TOLD, "h99.example:443"));
    }
}
