//! What may be used up, and whether anybody would count it.

use super::Deciding;
use crate::Written;
use crate::meet::egress::WayOut;
use crate::origin::Origin;
use crate::quantity::Amount;
use crate::schema::{self, Mode, Profile};
use sandboxd_broker_plan::Bound;
use sandboxd_egress_plan::{Budget, Carries, Price, Rule};

/// What a profile may use up, itself and whatever acts for it.
#[must_use]
pub fn budget(profile: &Profile) -> Budget {
    let written = &profile.budget;
    let amount = |amount: &Option<Written<Amount>>| match amount.as_ref().map(|one| one.value) {
        Some(Amount::Limited(limit)) => Bound::AtMost(limit),
        Some(Amount::Unlimited) | None => Bound::Unlimited,
    };
    let mut prices: Vec<Price> = written
        .prices
        .iter()
        .map(|(model, price)| {
            let schema::Price { input, output, cached, cache_write } = price.value;
            let (cached, written) = (cached.unwrap_or(input), cache_write.unwrap_or(input));
            Price { model: model.clone(), input, cached, written, output }
        })
        .collect();
    // What names one model comes before what names many, and of those the narrower.
    prices.sort_by_key(|price| {
        let text = price.model.as_str();
        (text.ends_with('*'), std::cmp::Reverse(text.len()))
    });
    Budget {
        of: written.of.clone().unwrap_or_else(|| profile.name().to_owned()),
        tokens: amount(&written.tokens),
        cost: amount(&written.cost),
        bytes: amount(&written.bytes),
        prices,
    }
}

impl Deciding<'_> {
    /// Those that bear what goes out: of all it is run under, and its own.
    pub(super) fn budgets(&mut self, way: &WayOut) -> Vec<Budget> {
        self.is_counted(way);
        let mut budgets: Vec<Budget> = Vec::new();
        for budget in self.under.iter().chain([self.profile]).map(budget) {
            if !budgets.contains(&budget) {
                budgets.push(budget);
            }
        }
        budgets
    }

    /// A budget that nobody counts is a promise that nobody keeps.
    pub(super) fn budget_holds(&mut self) {
        let budget = &self.profile.budget;
        if let (Some(cost), true) = (&budget.cost, budget.prices.is_empty()) {
            let origin = cost.origin.clone();
            let remedy =
                "write [budget.prices.\"*\"] with input and output, what a million tokens cost";
            self.refuse(&origin, "there are no prices, so nothing would cost anything", remedy);
        }
        let calls = !self.profile.calls.is_empty();
        let counts = self.profile.network.egress.iter().any(|entry| entry.value.model);
        let Some(limit) = budget.limits_models().filter(|_| !calls && !counts) else { return };
        let origin = limit.origin.clone();
        // Whoever reaches nobody uses nothing.
        if self.mode() != Mode::None {
            let remedy = "write { to = \"http://host.internal:8080\", model = true } in network.egress, for the model's API";
            self.refuse(&origin, "no entry is a model's API, so nothing would be counted", remedy);
        }
    }

    /// Whether nothing leads past what is counted.
    fn is_counted(&mut self, way: &WayOut) {
        let unseen = |rule: &&Rule| matches!(rule.carries, Carries::Tcp | Carries::Tls);
        for counted in way.rules.iter().filter(|rule| rule.model) {
            let mut past = way.rules.iter().filter(unseen).filter(|rule| rule.port == counted.port);
            let Some(past) = past.find(|rule| WayOut::share_somebody(rule, counted)) else {
                continue;
            };
            let what = format!("{:?} lets out past it what nobody counts", past.written);
            let entries = &self.profile.network.egress;
            let entry = entries.iter().find(|entry| entry.value.text == counted.written);
            let origin = entry.map_or_else(
                || Origin::named("this profile", "network.egress"),
                |entry| entry.origin.clone(),
            );
            self.refuse(&origin, what, "remove one of the two, or model = true");
        }
    }
}
