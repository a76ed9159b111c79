//! Where TLS is ended on the way out of a run, for whoever is told of it.

use sandboxd_egress_plan::{Carries, EgressPlan, Rule};
use serde::Serialize;
use std::collections::BTreeSet;

/// Where TLS is ended on the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Where, as the profiles have it.
    pub to: String,
    /// The secrets that are put into requests there, by their names.
    pub secrets: Vec<String>,
}

/// All places where it is.
pub(super) fn ended(plan: &EgressPlan) -> Vec<Ended> {
    let ends = |rule: &&Rule| matches!(rule.carries, Carries::Https(_));
    let secrets = |rule: &Rule| {
        let here = plan.injects.iter();
        let here = here.filter(|one| one.port == rule.port && rule.target.has_name(&one.host));
        let places: BTreeSet<u32> = here.map(|one| one.secret).collect();
        let places = places.into_iter().filter_map(|place| usize::try_from(place).ok());
        places.filter_map(|place| plan.secrets.get(place).cloned()).collect()
    };
    let rules = plan.rules.iter().filter(ends);
    rules.map(|rule| Ended { to: rule.written.clone(), secrets: secrets(rule) }).collect()
}
