//! `[budget]`: how much a caller may use up in one run, what its tools use for it among that.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::{Pattern, Rate};

/// The keys of `[budget]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "calls",
        doc: "calls in one run, including its tools' calls for it; default 10000",
        shape: Shape::Count,
    },
    Key {
        name: "rate",
        doc: "rate limit over all its edges: \"600/min burst 60\" (the default); a tenth of it for \
              lists, ten times both for the whole run",
        shape: Shape::CallRate,
    },
    Key {
        name: "connections",
        doc: "concurrent connections to its broker; default 16",
        shape: Shape::Count,
    },
    Key {
        name: "tokens",
        doc: "input and output tokens of models, at entries of network.egress with \
              model = true, including its tools' for it; default unlimited",
        shape: Shape::Count,
    },
    Key {
        name: "cost",
        doc: "cost of these tokens at the prices below: 2.50; default unlimited",
        shape: Shape::Money,
    },
    Key {
        name: "bytes",
        doc: "bytes sent and received, including its tools' for it; default unlimited",
        shape: Shape::Size,
    },
    Key {
        name: "prices",
        doc: "price of a million tokens, for each model, or for names with a prefix (\"small-*\"); \
              a model without a price costs as much as the most expensive one",
        shape: Shape::Prices(PRICE),
    },
];

/// The keys of a price.
pub(crate) const PRICE: &[Key] = &[
    Key { name: "input", doc: "price of a million input tokens", shape: Shape::Money },
    Key { name: "output", doc: "price of a million output tokens", shape: Shape::Money },
    Key {
        name: "cached",
        doc: "price of a million input tokens read from the API's cache; default as input",
        shape: Shape::Money,
    },
    Key {
        name: "cache_write",
        doc: "price of a million input tokens written to that cache; default as input",
        shape: Shape::Money,
    },
];

/// `[budget]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// Calls.
    pub calls: Option<Written<Amount>>,
    /// Rate limit over all edges.
    pub rate: Option<Written<Rate>>,
    /// Concurrent connections to its broker.
    pub connections: Option<Written<Amount>>,
    /// Tokens.
    pub tokens: Option<Written<Amount>>,
    /// Money, in billionths.
    pub cost: Option<Written<Amount>>,
    /// Bytes.
    pub bytes: Option<Written<Amount>>,
    /// Prices of tokens, by the names of models.
    pub prices: Vec<(Pattern, Written<Price>)>,
    /// Whose it is, where that is not the profile that has it: an edge gives what is its caller's.
    pub of: Option<String>,
}

/// Prices of a million tokens, in billionths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Input.
    pub input: u64,
    /// Output.
    pub output: u64,
    /// Input that is read from a cache.
    pub cached: Option<u64>,
    /// Input that is written to one.
    pub cache_write: Option<u64>,
}

impl Budget {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.calls, over.calls);
        replace(&mut self.rate, over.rate);
        replace(&mut self.connections, over.connections);
        replace(&mut self.tokens, over.tokens);
        replace(&mut self.cost, over.cost);
        replace(&mut self.bytes, over.bytes);
        for (model, price) in over.prices {
            match self.prices.iter_mut().find(|(known, _)| *known == model) {
                Some((_, place)) => *place = price,
                None => self.prices.push((model, price)),
            }
        }
    }

    /// The limit of what models use, where there is one.
    pub(crate) fn limits_models(&self) -> Option<&Written<Amount>> {
        first_limited([&self.tokens, &self.cost])
    }

    /// The limit of what goes over the network, where there is one.
    pub(crate) fn limits_network(&self) -> Option<&Written<Amount>> {
        first_limited([&self.tokens, &self.cost, &self.bytes])
    }
}

fn first_limited<const N: usize>(
    amounts: [&Option<Written<Amount>>; N],
) -> Option<&Written<Amount>> {
    let mut written = amounts.into_iter().flatten();
    written.find(|amount| amount.value != Amount::Unlimited)
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Budget {
    let mut budget = Budget::default();
    let Some(fields) = reader.fields(node, KEYS) else { return budget };
    for node in fields.all() {
        match node.name() {
            "calls" => budget.calls = reader.quantity(node, quantity::count),
            "rate" => budget.rate = reader.quantity(node, quantity::calls),
            "connections" => budget.connections = reader.quantity(node, quantity::count),
            "tokens" => budget.tokens = reader.quantity(node, quantity::count),
            "cost" => budget.cost = reader.quantity(node, quantity::money),
            "bytes" => budget.bytes = reader.quantity(node, quantity::size),
            _ => budget.prices = prices(reader, node),
        }
    }
    budget
}

const REMEDY: &str =
    "write prices.\"small-*\" = { input = 0.25, output = 1.25 }: the price of a million tokens";

fn prices<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Vec<(Pattern, Written<Price>)> {
    let Some(entries) = reader.entries(node, REMEDY) else { return Vec::new() };
    let mut prices = Vec::new();
    for node in entries.all() {
        match Pattern::try_from(node.name()) {
            Ok(model) => prices.extend(price(reader, node).map(|price| (model, price))),
            Err(error) => reader.refuse_key(node, &error.to_string(), REMEDY),
        }
    }
    prices
}

fn price<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Price>> {
    let fields = reader.fields(node, PRICE)?;
    let (mut all, mut whole) = ([None; 4], true);
    for (place, key) in all.iter_mut().zip(PRICE) {
        let Some(node) = fields.get(key.name) else { continue };
        let read = reader.quantity(node, quantity::money);
        match read.map(|amount| amount.value) {
            Some(Amount::Limited(amount)) => *place = Some(amount),
            Some(Amount::Unlimited) => {
                reader.refuse(node, "is not a price", "write the price of a million tokens: 2.50");
                whole = false;
            }
            None => whole = false,
        }
    }
    let [input, output, cached, cache_write] = all;
    let (Some(input), Some(output), true) = (input, output, whole) else {
        if whole {
            reader.refuse(node, "has no price for input or output", REMEDY);
        }
        return None;
    };
    let origin = reader.origin(node);
    Some(Written { value: Price { input, output, cached, cache_write }, origin })
}
