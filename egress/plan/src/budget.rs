//! How much a caller may use up in its life, and what that costs: whatever goes out, and what model APIs
//! say that they used for it.

use crate::{Bound, Record, Signing};
use alloc::{borrow::ToOwned as _, format, string::String, vec::Vec};
use sandboxd_broker_plan::{
    Pattern,
    fixed::{Reader, RecordError},
};
use serde::{Deserialize, Serialize};

/// The most letters of a model's name.
pub const NAME: usize = 96;

/// What one profile may use up, it and all that acts for it: in every egress process that bears it the
/// same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Whose it is, for messages.
    pub of: String,
    /// Tokens, those that go in and those that come out.
    pub tokens: Bound,
    /// Money, in billionths of whatever the prices are in.
    pub cost: Bound,
    /// Bytes, both ways.
    pub bytes: Bound,
    /// What tokens cost. The first that fits; where none does, the dearest of all.
    pub prices: Vec<Price>,
}

/// What a million tokens of a model cost, in billionths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Which models.
    pub model: Pattern,
    /// Tokens that go in.
    pub input: u64,
    /// Those of them that the API had in a cache.
    pub cached: u64,
    /// Those of them that it put into one.
    pub written: u64,
    /// Tokens that come out.
    pub output: u64,
}

/// Tokens, by what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// That went in, and no cache had.
    pub input: u64,
    /// That went in and were in a cache.
    pub cached: u64,
    /// That went in and into a cache.
    pub written: u64,
    /// That came out.
    pub output: u64,
}

impl Tokens {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.into_model().saturating_add(self.output)
    }

    /// Those that went in.
    #[must_use]
    pub const fn into_model(&self) -> u64 {
        self.input.saturating_add(self.cached).saturating_add(self.written)
    }
}

impl Budget {
    /// What tokens of a model cost: never less than by its price.
    #[must_use]
    pub fn cost(&self, model: &str, tokens: &Tokens) -> u64 {
        let known = self.prices.iter().find(|price| price.model.matches(model));
        let costs = |price: &Price| price.of(tokens);
        known.map(costs).or(self.prices.iter().map(costs).max()).unwrap_or(0)
    }

    /// Whether a price names this model.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        self.prices.iter().any(|price| price.model.matches(model))
    }
}

impl Price {
    fn of(&self, tokens: &Tokens) -> u64 {
        let each = [
            (tokens.input, self.input),
            (tokens.cached, self.cached),
            (tokens.written, self.written),
            (tokens.output, self.output),
        ];
        let of = |(count, price)| u128::from(count) * u128::from(price);
        let all: u128 = each.into_iter().map(of).sum();
        u64::try_from(all.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// Billionths, as people write them.
#[must_use]
pub fn money(billionths: u64) -> String {
    let text = format!("{}.{:09}", billionths / 1_000_000_000, billionths % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What was used up of a budget. It only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens.
    pub tokens: u64,
    /// Money, in billionths.
    pub cost: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Spent {
    /// Both together.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(more.tokens),
            cost: self.cost.saturating_add(more.cost),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }

    /// The larger of each.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.max(other.tokens),
            cost: self.cost.max(other.cost),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

/// How far a budget is used up, by its place in the plan: what the egress process has used of it, or
/// what it is told that all others have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Which.
    pub budget: u32,
    /// So far.
    pub spent: Spent,
}

impl Level {
    /// The bytes of it as a message.
    pub const SIZE: usize = 28;

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let Spent { tokens, cost, bytes: sent } = self.spent;
        let numbers = [tokens, cost, sent].map(u64::to_le_bytes);
        let all = self.budget.to_le_bytes().into_iter().chain(numbers.into_iter().flatten());
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// The one in these bytes.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let mut from = Reader(bytes);
        let budget = from.take().map_or(u32::MAX, u32::from_le_bytes);
        let [tokens, cost, bytes] =
            [from.take(), from.take(), from.take()].map(|next| next.map_or(0, u64::from_le_bytes));
        Self { budget, spent: Spent { tokens, cost, bytes } }
    }
}

/// What one answer of a model API used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The rule that the request was under.
    pub rule: u32,
    /// The model, as the API calls it, in letters that a name of one has.
    pub model: String,
    /// How much.
    pub tokens: Tokens,
    /// The API did not say so: it is made out by what went in and came out.
    pub estimated: bool,
}

/// Whether a name of a model may have this letter.
const fn fits(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'/' | b'@' | b'+')
}

impl Use {
    /// The bytes of it as a message.
    pub const SIZE: usize = 4 + 1 + 32 + 1 + NAME;

    /// What a text of an API is as a name of a model: whatever no name has is taken out.
    #[must_use]
    pub fn name(text: &str) -> String {
        let letters = text.bytes().filter(|byte| fits(*byte)).take(NAME);
        letters.map(char::from).collect()
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let name = Self::name(&self.model);
        let Tokens { input, cached, written, output } = self.tokens;
        let numbers = [input, cached, written, output].map(u64::to_le_bytes);
        let all = self.rule.to_le_bytes().into_iter().chain([u8::from(self.estimated)]);
        let all = all.chain(numbers.into_iter().flatten());
        let all = all.chain([u8::try_from(name.len()).unwrap_or(0)]).chain(name.into_bytes());
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// The one in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self, RecordError> {
        let mut from = Reader(bytes);
        let rule = u32::from_le_bytes(from.take()?);
        let estimated = match from.take()? {
            [0] => false,
            [1] => true,
            _ => return Err(RecordError("it is neither said nor estimated")),
        };
        let numbers = [from.take()?, from.take()?, from.take()?, from.take()?];
        let [input, cached, written, output] = numbers.map(u64::from_le_bytes);
        let [length] = from.take()?.map(usize::from);
        let (name, rest) =
            from.0.split_at_checked(length).ok_or(RecordError("its model is too long"))?;
        if rest.iter().any(|byte| *byte != 0) || !name.iter().copied().all(fits) {
            return Err(RecordError("its model is none"));
        }
        let model = name.iter().copied().map(char::from).collect();
        let tokens = Tokens { input, cached, written, output };
        Ok(Self { rule, model, tokens, estimated })
    }
}

/// What an egress process tells, by its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something happened.
    Record(Record),
    /// An answer was counted.
    Use(Use),
    /// So much of a budget it has used.
    Level(Level),
    /// So many of the others nobody took in time, and they are lost.
    Lost(u32),
    /// An ssh-agent was asked for something.
    Signing(Signing),
}

impl Told {
    /// The most bytes of one.
    pub const MOST: usize = crate::record::SIZE;

    /// The one in these bytes.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if let Ok(record) = bytes.try_into() {
            return Record::decode(record).map(Self::Record);
        }
        if let Ok(used) = bytes.try_into() {
            return Use::decode(used).map(Self::Use);
        }
        if let Ok(level) = bytes.try_into() {
            return Ok(Self::Level(Level::decode(level)));
        }
        if let Ok(signing) = bytes.try_into() {
            return Signing::decode(signing).map(Self::Signing);
        }
        match bytes.try_into().map(u32::from_le_bytes) {
            Ok(0) => Err(RecordError("it says that nothing is lost")),
            Ok(lost) => Ok(Self::Lost(lost)),
            Err(_) => Err(RecordError("it is of no kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn price(model: &str, input: u64, output: u64) -> Price {
        let model = Pattern::try_from(model).unwrap();
        Price { model, input, cached: input / 10, written: input * 2, output }
    }

    fn budget() -> Budget {
        Budget {
            of: "agent".to_owned(),
            tokens: Bound::Unlimited,
            cost: Bound::Unlimited,
            bytes: Bound::Unlimited,
            prices: vec![
                price("small-*", 1_000_000_000, 2_000_000_000),
                price("large", 10_000_000_000, 20_000_000_000),
            ],
        }
    }

    #[test]
    fn money_is_written_as_people_write_it() {
        for (billionths, text) in
            [(1_500_000_000, "1.5"), (0, "0"), (2_000_000_000, "2"), (1, "0.000000001")]
        {
            assert_eq!(money(billionths), text);
        }
    }

    #[test]
    fn tokens_cost_what_their_model_does_and_those_of_another_the_most() {
        let tokens = Tokens { input: 100, cached: 1000, written: 10, output: 50 };
        let budget = budget();
        assert_eq!(budget.cost("small-1", &tokens), 100_000 + 100_000 + 20_000 + 100_000);
        assert_eq!(budget.cost("large", &tokens), 10 * 320_000);
        assert_eq!(budget.cost("another", &tokens), budget.cost("large", &tokens));
        assert!(budget.knows("small-1") && !budget.knows("small"));
        let one = Tokens { output: 1, ..Tokens::default() };
        let cheap = Budget { prices: vec![price("*", 1, 1)], ..budget };
        assert_eq!(cheap.cost("x", &one), 1, "less than a billionth is one");
        assert_eq!(cheap.cost("x", &Tokens { input: u64::MAX, ..one }), u64::MAX / 1_000_000 + 1);
        assert_eq!(Budget { prices: vec![], ..cheap }.cost("x", &one), 0);
    }

    #[test]
    fn what_is_told_is_heard() {
        let spent = Spent { tokens: 1, cost: u64::MAX, bytes: 3 };
        let level = Level { budget: 7, spent };
        assert_eq!(Told::decode(&level.encode()), Ok(Told::Level(level)));
        let tokens = Tokens { input: 1, cached: 2, written: 3, output: u64::MAX };
        let model = "vendor/model-4.1:beta".to_owned();
        let mut used = Use { rule: 3, model, tokens, estimated: true };
        assert_eq!(Told::decode(&used.encode()), Ok(Told::Use(used.clone())));
        used.model = "a\u{1b}[2Jb\n\"c".to_owned();
        let Ok(Told::Use(heard)) = Told::decode(&used.encode()) else { panic!("none") };
        assert_eq!(heard.model, "a2Jbc");
        used.model = "x".repeat(300);
        assert_eq!(Use::name(&used.model).len(), NAME);
        let mut bytes = used.encode();
        bytes[38] = b' ';
        assert!(Told::decode(&bytes).is_err());
        assert_eq!(Told::decode(&7_u32.to_le_bytes()), Ok(Told::Lost(7)));
        assert!(Told::decode(&[0; 4]).is_err());
        assert!(Told::decode(&[0; 5]).is_err());
    }
}
