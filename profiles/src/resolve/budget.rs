//! What may be used up, and whether anybody would count it.

use super::Deciding;
use crate::Written;
use crate::meet::egress::WayOut;
use crate::origin::Origin;
use crate::quantity::Amount;
use crate::schema::{self, Mode, Profile};
use sandboxd_broker_plan::Bound;
use sandboxd_egress_plan::{Budget, Carries, Network, Price, Rule, Target};

/// Networks that no name leads into unless its entry says so, RFC 1918 and RFC 4193.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

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
        self.outer_budgets_hold(way);
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
                "write [budget.prices.\"*\"] with input and output: the price of a million tokens";
            self.refuse(&origin, "there are no prices, so the cost would always be 0", remedy);
        }
        match self.mode() {
            Mode::Host => self.nothing_is_counted(),
            // Whoever reaches nobody uses nothing.
            Mode::None => {}
            Mode::Egress => {
                let limit = budget.limits_models().filter(|_| !self.asks_models(self.profile));
                self.uncounted(limit);
            }
        }
    }

    /// What goes to the host's network no egress process sees.
    fn nothing_is_counted(&mut self) {
        for profile in self.under.iter().chain([self.profile]) {
            let Some(limit) = profile.budget.limits_network() else { continue };
            let what = "the network is the host's, where nothing is counted";
            self.refuse(&limit.origin, what, "write mode = \"egress\" in [network], or remove it");
        }
    }

    /// Somebody who limits what models use of all that is run under it has named none, and nor has what
    /// is run.
    fn outer_budgets_hold(&mut self, way: &WayOut) {
        if way.rules.iter().any(|rule| rule.model) {
            return;
        }
        // The budget of a caller bears what is done for it, most of which asks no model.
        for profile in self.under.iter().filter(|profile| profile.budget.of.is_none()) {
            if !self.asks_models(profile) {
                self.uncounted(profile.budget.limits_models());
            }
        }
    }

    /// Whether a profile names a model's API, or what is run may call somebody who does.
    fn asks_models(&self, profile: &Profile) -> bool {
        let counts = profile.network.egress.iter().any(|entry| entry.value.model);
        counts || !self.profile.calls.is_empty()
    }

    fn uncounted(&mut self, limit: Option<&Written<Amount>>) {
        if let Some(limit) = limit {
            let remedy = "write { to = \"http://host.internal:8080\", model = true } in network.egress, for the model's API";
            let what = "no entry is a model's API, so nothing is counted";
            self.refuse(&limit.origin, what, remedy);
        }
    }

    /// Whether nothing leads past what is counted.
    fn is_counted(&mut self, way: &WayOut) {
        let unseen = |rule: &&Rule| matches!(rule.carries, Carries::Tcp | Carries::Tls);
        for counted in way.rules.iter().filter(|rule| rule.model) {
            let mut past = way.rules.iter().filter(unseen).filter(|rule| rule.port == counted.port);
            let leads =
                |rule: &&Rule| WayOut::share_somebody(rule, counted) || may_have(rule, counted);
            let Some(past) = past.find(leads) else {
                continue;
            };
            let what = format!("{:?} leads to the same host and is not counted", past.written);
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

/// Whether a rule for addresses may have one of what another rule calls by its name.
fn may_have(rule: &Rule, named: &Rule) -> bool {
    let (Target::Network(network), Target::Name(_) | Target::Below(_)) =
        (&rule.target, &named.target)
    else {
        return false;
    };
    let within = |one: &Network| one.contains(*network) || network.contains(*one);
    let private = || PRIVATE.iter().filter_map(|text| Network::try_from(*text).ok());
    named.within.iter().any(within) || !private().any(|private| private.contains(*network))
}
