//! `[serve]`: what others may call here. Without it, nothing can be called.

use super::reach::{Reach, pattern};
use super::{Call, Key, Shape, client};
use crate::Problem;
use crate::graph::patterns::covers;
use crate::origin::{Origin, Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::{Pattern, Rate};
use toml::de::DeValue;

const INSTANCES: &[&str] = &["per-caller", "serial", "attenuate"];

/// The keys of `[serve]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "speaks",
        doc: "mcp (the default), or json-rpc with its own methods",
        shape: Shape::Words(&["mcp", "json-rpc"]),
    },
    Key {
        name: "tools",
        doc: "tools that may be called at most, whatever an edge says: names, \"read_*\", or \"*\"",
        shape: Shape::Texts,
    },
    Key {
        name: "resources",
        doc: "URIs of resources that may be read, in the same form",
        shape: Shape::Texts,
    },
    Key { name: "prompts", doc: "prompts that may be used, in the same form", shape: Shape::Texts },
    Key {
        name: "methods",
        doc: "JSON-RPC methods other than those of MCP, in the same form",
        shape: Shape::Texts,
    },
    Key {
        name: "ask",
        doc: "tools and methods of which a person approves each call, whatever an edge says, in the same form; default: none",
        shape: Shape::Texts,
    },
    Key {
        name: "durable",
        doc: "no call is made before its record is on disk, whatever an edge says; default false",
        shape: Shape::Boolean,
    },
    Key {
        name: "instances",
        doc: "whose calls a process sees: per-caller (the default), serial, attenuate, or own with \
              a reason",
        shape: Shape::OrReason(INSTANCES, OWN),
    },
    Key {
        name: "rate",
        doc: "rate limit of all callers together: \"1200/min burst 200\" (the default)",
        shape: Shape::CallRate,
    },
    Key {
        name: "in_flight",
        doc: "concurrent calls of all callers; default 32",
        shape: Shape::Count,
    },
    Key {
        name: "client",
        doc: "how the client of `sandboxd mcp` calls, which has no [call.NAME]; keys as there",
        shape: Shape::Table(client::KEYS),
    },
];

pub(crate) const OWN: &[Key] = &[Key {
    name: "own",
    doc: "why it acts with its own rights and not with its caller's",
    shape: Shape::Text,
}];

/// `[serve]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Where it is written.
    pub origin: Origin,
    /// What it speaks.
    pub speaks: Option<Written<Speaks>>,
    /// What may be called.
    pub reach: Reach,
    /// Tools and methods of which a person approves each call.
    pub ask: Vec<Written<Pattern>>,
    /// Whether no call is made before its record is on disk.
    pub durable: Option<Written<bool>>,
    /// Whose calls a process sees.
    pub instances: Option<Written<Instances>>,
    /// Rate limit of all callers together.
    pub rate: Option<Written<Rate>>,
    /// Concurrent calls of all callers.
    pub in_flight: Option<Written<Amount>>,
    /// How the client of `sandboxd mcp` calls, beyond what applies to all callers.
    pub client: Call,
}

/// What a callee speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// The Model Context Protocol.
    Mcp,
    /// JSON-RPC with its own methods.
    JsonRpc,
}

impl Speaks {
    /// Its word in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::JsonRpc => "json-rpc",
        }
    }
}

/// Whose calls a process of a callee sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// Those of one connection.
    PerCaller,
    /// All callers', one at a time.
    Serial,
    /// All callers'; what it calls meanwhile, all its callers must be allowed to call.
    Attenuate,
    /// All callers', and it acts with its own rights; why.
    Own(String),
}

impl Instances {
    /// Its word in a profile.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PerCaller => "per-caller",
            Self::Serial => "serial",
            Self::Attenuate => "attenuate",
            Self::Own(_) => "own",
        }
    }
}

impl Serve {
    /// All that holds for the client of `sandboxd mcp`, as an edge would say it.
    pub(crate) fn of_client(&self) -> Call {
        Call {
            reach: self.reach.clone(),
            rate: self.rate.clone(),
            in_flight: self.in_flight.clone(),
            ..self.client.clone()
        }
    }

    /// What is asked about, or has to fit a schema, is served: a name that is misspelled would let every call pass.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.unserved();
        for (tool, schema) in &self.client.arguments {
            if !self.reach.tools.iter().any(|pattern| pattern.value.matches(tool)) {
                let what = format!("{tool} is not one of the tools that are served");
                let remedy = "correct the name, or add it to [serve] tools";
                problems.push(schema.origin.problem(what, remedy));
            }
        }
        problems
    }

    fn unserved(&self) -> Vec<Problem> {
        let is_served = |asked: &Pattern| {
            let mut served = self.reach.tools.iter().chain(&self.reach.methods);
            served.any(|one| covers(&one.value, asked) || covers(asked, &one.value))
        };
        let unserved = self.ask.iter().filter(|asked| !is_served(&asked.value));
        let problem = |asked: &Written<Pattern>| {
            let what = format!(
                "no tool or method named {} is served, so nothing needs approval",
                asked.value
            );
            asked.origin.problem(what, "correct the name, or add it to [serve] tools or methods")
        };
        unserved.map(problem).collect()
    }

    pub(crate) fn lay(&mut self, over: Self) {
        self.origin = over.origin;
        replace(&mut self.speaks, over.speaks);
        self.reach.lay(over.reach);
        self.ask.extend(over.ask);
        replace(&mut self.durable, over.durable);
        replace(&mut self.instances, over.instances);
        replace(&mut self.rate, over.rate);
        replace(&mut self.in_flight, over.in_flight);
        self.client.lay(over.client);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Serve> {
    let fields = reader.fields(node, KEYS)?;
    let mut serve = Serve {
        origin: reader.origin_of_key(node),
        speaks: None,
        reach: Reach::default(),
        ask: Vec::new(),
        durable: None,
        instances: None,
        rate: None,
        in_flight: None,
        client: Call::default(),
    };
    for node in fields.all() {
        match node.name() {
            "speaks" => {
                let words = [Speaks::Mcp, Speaks::JsonRpc].map(|word| (word.name(), word));
                serve.speaks = reader.word(node, &words);
            }
            "ask" => serve.ask = reader.list(node, pattern),
            "durable" => serve.durable = reader.boolean(node),
            "instances" => serve.instances = instances(reader, node),
            "rate" => serve.rate = reader.quantity(node, quantity::calls),
            "in_flight" => serve.in_flight = reader.quantity(node, quantity::count),
            "client" => serve.client = client::read(reader, node),
            _ => {
                serve.reach.read(reader, node);
            }
        }
    }
    Some(serve)
}

fn instances<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Instances>> {
    if matches!(node.value, DeValue::Table(_)) {
        let fields = reader.fields(node, OWN)?;
        let Some(own) = fields.get("own") else {
            reader.refuse(node, "is empty", "write { own = \"why\" }");
            return None;
        };
        return Some(reader.reason(own)?.map(Instances::Own));
    }
    if node.value.as_str() == Some("own") {
        reader.refuse(node, "own needs a reason", "write instances = { own = \"why\" }");
        return None;
    }
    let words = [
        ("per-caller", &Instances::PerCaller),
        ("serial", &Instances::Serial),
        ("attenuate", &Instances::Attenuate),
    ];
    Some(reader.word(node, &words)?.map(Clone::clone))
}
