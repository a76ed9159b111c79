//! What one profile may use up that it could not before.

use super::{Narrowed, Told, Widened, number};
use crate::graph::plan::caller;
use crate::quantity::Amount;
use crate::schema::{Budget, Price};
use crate::{Profile, Written};
use sandboxd_broker_plan::{Bound, Name, Pattern, Rate};
use sandboxd_egress_plan::money;

impl Told {
    /// `[budget]` of a profile, what it does not say among it.
    pub(super) fn budget(&mut self, name: &Name, old: &Profile, new: &Profile) {
        let (was, is) = (caller(name, old), caller(name, new));
        let most = |bound| match bound {
            Bound::AtMost(most) => most,
            Bound::Unlimited => u64::MAX,
        };
        let speed = |rate: Rate| (rate.a_day(), rate.at_once());
        let (before, after) = (speed(was.rate), speed(is.rate));
        let (had, has) = (&old.budget, &new.budget);
        for (key, old, new) in [
            ("calls", most(was.calls), most(is.calls)),
            ("calls a day", before.0, after.0),
            ("calls at once", before.1, after.1),
            ("connections", was.connections.into(), is.connections.into()),
            ("tokens", limit(&had.tokens), limit(&has.tokens)),
            ("bytes", limit(&had.bytes), limit(&has.bytes)),
        ] {
            self.ordered(&format!("budget {key}"), (&old, number(old)), (&new, number(new)));
        }
        let (old, new) = (limit(&had.cost), limit(&has.cost));
        self.ordered("budget cost", (&old, cost(old)), (&new, cost(new)));
        // Without a limit nothing is decided by what something costs.
        if new < u64::MAX {
            self.prices(had, has);
        }
    }

    /// What is cheaper lets more be used. A model that has no price costs what the dearest does, so that one price
    /// more or less cannot be shown to let less be used.
    fn prices(&mut self, old: &Budget, new: &Budget) {
        for (model, after) in &new.prices {
            let Some(before) = price(old, model) else {
                self.tell(Widened, format!("budget prices: {}, from now on", model.as_str()));
                continue;
            };
            for ((key, before), (_, after)) in each(before).into_iter().zip(each(&after.value)) {
                let key = format!("budget prices.{} {key}", model.as_str());
                let what = format!("{key}: {} -> {}", money(before), money(after));
                if after < before {
                    self.tell(Widened, what);
                } else if after > before {
                    self.tell(Narrowed, what);
                }
            }
        }
        for (model, _) in old.prices.iter().filter(|(model, _)| price(new, model).is_none()) {
            self.tell(Widened, format!("budget prices: {}, no longer", model.as_str()));
        }
    }
}

fn price<'b>(budget: &'b Budget, model: &Pattern) -> Option<&'b Price> {
    let found = budget.prices.iter().find(|(known, _)| known == model);
    found.map(|(_, price)| &price.value)
}

/// What a million tokens cost, of each kind.
fn each(price: &Price) -> [(&'static str, u64); 4] {
    [
        ("input", price.input),
        ("output", price.output),
        ("cached", price.cached.unwrap_or(price.input)),
        ("cache_write", price.cache_write.unwrap_or(price.input)),
    ]
}

fn limit(amount: &Option<Written<Amount>>) -> u64 {
    amount.as_ref().and_then(|amount| amount.value.limit()).unwrap_or(u64::MAX)
}

fn cost(limit: u64) -> String {
    if limit == u64::MAX { number(limit) } else { money(limit) }
}
