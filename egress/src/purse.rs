//! What may be used up, and how much of that is: by what this process has let out, and by whoever else
//! bears the same budget.

use sandboxd_egress_plan::{Bound, Budget, Level, Spent, Tokens, money};
use std::collections::BTreeMap;

/// One budget.
#[derive(Debug)]
struct Purse {
    budget: Budget,
    own: Spent,
    /// What others have used, as far as that was told.
    others: Spent,
    /// What was told of our own.
    told: Spent,
}

/// An answer that is under way.
#[derive(Debug, Clone, Default)]
pub struct UnderWay {
    /// The model, as far as it is known.
    pub model: String,
    /// What it has used so far.
    pub tokens: Tokens,
}

/// All budgets of a plan. Each bears all that goes out.
#[derive(Debug)]
pub struct Purses {
    purses: Vec<Purse>,
    under_way: BTreeMap<u64, UnderWay>,
    last: u64,
}

/// So many bytes may go before the others hear of them.
const UNTOLD: u64 = 64 << 10;

const fn left(bound: Bound, spent: u64) -> u64 {
    match bound {
        Bound::AtMost(most) => most.saturating_sub(spent),
        Bound::Unlimited => u64::MAX,
    }
}

impl Purse {
    /// What is used, with what is under way.
    fn spent<'u>(&self, under_way: impl Iterator<Item = &'u UnderWay>) -> Spent {
        let each = under_way.map(|one| self.of(&one.model, &one.tokens));
        each.fold(self.own.and(self.others), Spent::and)
    }

    fn of(&self, model: &str, tokens: &Tokens) -> Spent {
        Spent { tokens: tokens.all(), cost: self.budget.cost(model, tokens), bytes: 0 }
    }

    /// Why nothing more is asked of a model under it, where that is so.
    fn over(&self, spent: Spent) -> Option<String> {
        let Budget { of, tokens, cost, .. } = &self.budget;
        let used = match (*tokens, *cost) {
            (Bound::AtMost(most), _) if spent.tokens >= most => {
                format!("{} of {most} tokens", spent.tokens)
            }
            (_, Bound::AtMost(most)) if spent.cost >= most => {
                format!("a cost of {} of {}", money(spent.cost), money(most))
            }
            _ => return None,
        };
        Some(format!("the budget of {of} is used up: {used}"))
    }
}

impl Purses {
    /// Nothing is used yet.
    #[must_use]
    pub fn new(budgets: &[Budget]) -> Self {
        let none = Spent::default();
        let purse =
            |budget: &Budget| Purse { budget: budget.clone(), own: none, others: none, told: none };
        let purses = budgets.iter().map(purse).collect();
        Self { purses, under_way: BTreeMap::new(), last: 0 }
    }

    /// How many bytes may still go.
    #[must_use]
    pub fn bytes_left(&self) -> u64 {
        let each = self.purses.iter().map(|purse| {
            left(purse.budget.bytes, purse.own.bytes.saturating_add(purse.others.bytes))
        });
        each.min().unwrap_or(u64::MAX)
    }

    /// So many bytes went; whether that is to be told soon.
    pub fn count(&mut self, bytes: u64) -> bool {
        let mut soon = false;
        for purse in &mut self.purses {
            purse.own.bytes = purse.own.bytes.saturating_add(bytes);
            soon |= purse.own.bytes - purse.told.bytes >= UNTOLD;
        }
        soon
    }

    /// Why no model is asked now, where that is so.
    #[must_use]
    pub fn over(&self) -> Option<String> {
        self.purses.iter().find_map(|purse| purse.over(purse.spent(self.under_way.values())))
    }

    /// An answer begins.
    pub fn begin(&mut self) -> u64 {
        self.last += 1;
        self.under_way.insert(self.last, UnderWay::default());
        self.last
    }

    /// It goes on.
    pub fn goes_on(&mut self, number: u64, now: UnderWay) {
        if let Some(place) = self.under_way.get_mut(&number) {
            *place = now;
        }
    }

    /// It has ended.
    pub fn end(&mut self, number: u64, last: &UnderWay) {
        self.under_way.remove(&number);
        for purse in &mut self.purses {
            purse.own = purse.own.and(purse.of(&last.model, &last.tokens));
        }
    }

    /// What others have used of one; it only grows.
    pub fn hear(&mut self, level: Level) {
        let place = usize::try_from(level.budget).ok();
        if let Some(purse) = place.and_then(|place| self.purses.get_mut(place)) {
            purse.others = purse.others.or(level.spent);
        }
    }

    /// What the others have not been told yet.
    #[must_use]
    pub fn untold(&self) -> Vec<Level> {
        let numbered = (0_u32..).zip(&self.purses);
        let news = numbered.filter(|(_, purse)| purse.told != purse.own);
        news.map(|(budget, purse)| Level { budget, spent: purse.own }).collect()
    }

    /// They have been told this.
    pub fn told(&mut self, level: Level) {
        let place = usize::try_from(level.budget).ok();
        if let Some(purse) = place.and_then(|place| self.purses.get_mut(place)) {
            purse.told = level.spent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::Pattern;
    use sandboxd_egress_plan::Price;

    fn budget(of: &str, [tokens, cost, bytes]: [u64; 3]) -> Budget {
        Budget {
            of: of.to_owned(),
            tokens: Bound::AtMost(tokens),
            cost: Bound::AtMost(cost),
            bytes: Bound::AtMost(bytes),
            prices: vec![Price {
                model: Pattern::try_from("*").unwrap(),
                input: 1_000_000,
                cached: 0,
                written: 0,
                output: 2_000_000,
            }],
        }
    }

    fn answer(input: u64, output: u64) -> UnderWay {
        UnderWay { model: String::new(), tokens: Tokens { input, output, ..Tokens::default() } }
    }

    const MANY: u64 = 1 << 40;

    #[test]
    fn what_is_used_up_is_refused_and_says_whose_it_was() {
        let mut purses =
            Purses::new(&[budget("a", [100, MANY, MANY]), budget("b", [MANY, 150, MANY])]);
        assert_eq!(purses.over(), None);
        let one = purses.begin();
        purses.goes_on(one, answer(10, 20));
        assert_eq!(purses.over(), None);
        purses.goes_on(one, answer(50, 49));
        assert_eq!(purses.over(), None);
        purses.goes_on(one, answer(50, 50));
        assert!(
            purses.over().unwrap().starts_with("the budget of a is used up: 100 of 100 tokens")
        );
        purses.end(one, &answer(30, 20));
        assert_eq!(purses.over(), None);
        let two = purses.begin();
        purses.end(two, &answer(0, 40));
        assert_eq!(
            purses.over().unwrap(),
            "the budget of b is used up: a cost of 0.00000015 of 0.00000015"
        );
    }

    #[test]
    fn what_others_use_counts_once() {
        let mut purses = Purses::new(&[budget("a", [100, MANY, 1000])]);
        let heard = |tokens, bytes| Level { budget: 0, spent: Spent { tokens, cost: 0, bytes } };
        purses.hear(heard(60, 400));
        purses.hear(heard(50, 500));
        assert_eq!((purses.over(), purses.bytes_left()), (None, 500));
        let one = purses.begin();
        purses.end(one, &answer(40, 0));
        assert!(purses.over().is_some());
        // What was not taken is told again.
        assert_eq!(purses.untold(), purses.untold());
        let untold = purses.untold();
        assert_eq!(untold.first().map(|level| level.spent.tokens), Some(40));
        untold.into_iter().for_each(|level| purses.told(level));
        assert!(purses.untold().is_empty());
        assert!(!purses.count(500));
        assert_eq!(purses.bytes_left(), 0);
        assert!(purses.count(UNTOLD));
        purses.hear(Level { budget: 9, spent: Spent::default() });
        assert_eq!(Purses::new(&[]).bytes_left(), u64::MAX);
    }
}
