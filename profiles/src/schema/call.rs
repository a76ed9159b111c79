//! `[call.NAME]`: an edge of the call graph, "this may call that so".

mod bounds;

use super::reach::Reach;
use super::{Key, Network, Shape, arguments, files, network};
use crate::origin::{Written, replace};
use crate::place::{Place, Relative};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};
use sandboxd_broker_plan::{Name, Rate};
use serde_json::Value;
use std::collections::BTreeMap;

/// The keys of `[call.NAME]`.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "profile", doc: "the callee's profile, relative to this file", shape: Shape::Text },
    Key {
        name: "tools",
        doc: "tools that may be called, if the callee serves them: names, \"read_*\", or \"*\"",
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
    ARGUMENTS,
    Key {
        name: "rate",
        doc: "rate limit of this edge: \"120/min burst 20\" (the default)",
        shape: Shape::CallRate,
    },
    Key { name: "in_flight", doc: "concurrent calls; default 8", shape: Shape::Count },
    DEADLINE,
    MAX_REQUEST,
    MAX_RESULT,
    Key {
        name: "approval",
        doc: "never (the default), or ask: a person approves each call",
        shape: Shape::Words(&["never", "ask"]),
    },
    APPROVAL_WITHIN,
    Key {
        name: "expires",
        doc: "how long after the start of the run calls are allowed: \"8h\"; default: as long as the run",
        shape: Shape::Time,
    },
    Key {
        name: "durable",
        doc: "no call is made before its record is on disk; default false",
        shape: Shape::Boolean,
    },
    REVERSE,
    INSTRUCTIONS,
    Key {
        name: "ready",
        doc: "instances to start in advance, so that a connection need not wait for one; default 0, at \
              most 16. Their processes and memory count as this caller's",
        shape: Shape::Count,
    },
    Key {
        name: "cycle",
        doc: "why the callee may, in the end, call this caller again; required then",
        shape: Shape::Text,
    },
    Key {
        name: "grant",
        doc: "all that the callee may use on this caller's behalf, within its own profile; without \
              it: what this caller may use itself",
        shape: Shape::Table(GRANT),
    },
];

// Those of `[serve.client]` too.
pub(super) const ARGUMENTS: Key = Key {
    name: "arguments",
    doc: "for each tool, a JSON Schema that its arguments must match, in addition to the tool's own",
    shape: Shape::Schemas,
};
pub(super) const DEADLINE: Key = Key {
    name: "deadline",
    doc: "timeout of a call, at most 10m; default 60s",
    shape: Shape::Time,
};
pub(super) const MAX_REQUEST: Key = Key {
    name: "max_request",
    doc: "size of a request, at most 64M; default 1M",
    shape: Shape::Size,
};
pub(super) const MAX_RESULT: Key = Key {
    name: "max_result",
    doc: "size of a result, at most 64M; default 16M",
    shape: Shape::Size,
};
pub(super) const APPROVAL_WITHIN: Key = Key {
    name: "approval_within",
    doc: "time to approve a call, after which it is denied; at most 1h, default 210s",
    shape: Shape::Time,
};
pub(super) const REVERSE: Key = Key {
    name: "reverse",
    doc: "what the callee may ask of this caller; default: nothing",
    shape: Shape::WordList(&["elicitation", "sampling"]),
};
pub(super) const INSTRUCTIONS: Key = Key {
    name: "instructions",
    doc: "pass on the callee's instructions to the caller's model; default false",
    shape: Shape::Boolean,
};

/// The keys of `[call.NAME.grant]`.
pub(crate) const GRANT: &[Key] = &[
    Key {
        name: "files",
        doc: "files that the callee may use; default: none",
        shape: Shape::Table(GRANT_FILES),
    },
    Key {
        name: "network",
        doc: "network that the callee may use; default: none",
        shape: Shape::Table(network::KEYS),
    },
];

/// The keys of `[call.NAME.grant.files]`.
pub(crate) const GRANT_FILES: &[Key] = &[
    Key { name: "read", doc: "may be read", shape: Shape::Entries(super::files::GRANT, "path") },
    Key {
        name: "write",
        doc: "may be read and written",
        shape: Shape::Entries(super::files::GRANT, "path"),
    },
    Key {
        name: "execute",
        doc: "may be read and executed",
        shape: Shape::Entries(super::files::GRANT, "path"),
    },
];

/// `[call.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The callee's profile.
    pub profile: Option<Written<Place>>,
    /// What may be called.
    pub reach: Reach,
    /// JSON Schemas by the names of tools. All schemas of a tool apply.
    pub arguments: Vec<(String, Written<Value>)>,
    /// Rate limit of this edge.
    pub rate: Option<Written<Rate>>,
    /// Concurrent calls.
    pub in_flight: Option<Written<Amount>>,
    /// Timeout of a call, in milliseconds.
    pub deadline: Option<Written<u64>>,
    /// Maximum size of a line to the callee, in bytes.
    pub max_request: Option<Written<u64>>,
    /// Maximum size of a line from the callee, in bytes.
    pub max_result: Option<Written<u64>>,
    /// Whether a person must approve each call.
    pub approval: Option<Written<Approval>>,
    /// Milliseconds without an answer after which a call is denied.
    pub approval_within: Option<Written<u64>>,
    /// Milliseconds from the start of the run until it is revoked; nothing written: never.
    pub expires: Option<Written<u64>>,
    /// Whether no call is made before its record is on disk.
    pub durable: Option<Written<bool>>,
    /// What the callee may ask.
    pub reverse: Vec<Written<Reverse>>,
    /// Whether the callee's instructions are passed on.
    pub instructions: Option<Written<bool>>,
    /// Instances to keep ready.
    pub ready: Option<Written<u64>>,
    /// Why the callee may, in the end, call this caller again.
    pub cycle: Option<Written<String>>,
    /// What may be used on this caller's behalf; nothing written: what the caller may use itself.
    pub grant: Option<Written<EdgeGrant>>,
}

/// `[call.NAME.grant]`: where it is written, it is all that the callee gets, and what it does not
/// name is not granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdgeGrant {
    /// `files.read`, `files.write` and `files.execute`.
    pub files: Vec<files::Grant>,
    /// `network`.
    pub network: Network,
}

/// Whether a person must approve a call before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Nobody.
    Never,
    /// For each call.
    Ask,
}

/// What a callee may ask of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reverse {
    /// A question to the person at the caller.
    Elicitation,
    /// An answer of the caller's model.
    Sampling,
}

impl Approval {
    /// Its word in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Ask => "ask",
        }
    }
}

impl Reverse {
    /// Its word in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Elicitation => "elicitation",
            Self::Sampling => "sampling",
        }
    }
}

impl Call {
    pub(super) fn lay(&mut self, over: Self) {
        replace(&mut self.profile, over.profile);
        self.reach.lay(over.reach);
        self.arguments.extend(over.arguments);
        replace(&mut self.rate, over.rate);
        replace(&mut self.in_flight, over.in_flight);
        replace(&mut self.deadline, over.deadline);
        replace(&mut self.max_request, over.max_request);
        replace(&mut self.max_result, over.max_result);
        replace(&mut self.approval, over.approval);
        replace(&mut self.approval_within, over.approval_within);
        replace(&mut self.expires, over.expires);
        replace(&mut self.durable, over.durable);
        self.reverse.extend(over.reverse);
        replace(&mut self.instructions, over.instructions);
        replace(&mut self.ready, over.ready);
        replace(&mut self.cycle, over.cycle);
        match (&mut self.grant, over.grant) {
            (Some(grant), Some(over)) => {
                grant.value.files.extend(over.value.files);
                grant.value.network.lay(over.value.network);
                grant.origin = over.origin;
            }
            (grant, over) => replace(grant, over),
        }
    }
}

/// All the edges of a profile, by their names.
pub type Calls = BTreeMap<Name, Written<Call>>;

pub(crate) fn lay(calls: &mut Calls, over: Calls) {
    for (name, over) in over {
        match calls.get_mut(&name) {
            Some(call) => {
                call.value.lay(over.value);
                call.origin = over.origin;
            }
            None => {
                calls.insert(name, over);
            }
        }
    }
}

pub(crate) fn read_all<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Calls {
    let mut calls = Calls::new();
    let Some(entries) = reader.entries(node, "write [call.NAME] and what may be called there")
    else {
        return calls;
    };
    for node in entries.all() {
        let call = read(reader, node, KEYS);
        match Name::try_from(node.name()) {
            Ok(name) => {
                calls.insert(name, Written { value: call, origin: reader.origin_of_key(node) });
            }
            Err(error) => {
                let remedy = "write the name by which the caller calls it: [call.fs]";
                reader.refuse_key(node, &error.to_string(), remedy);
            }
        }
    }
    calls
}

/// A table of those of its keys that are said there.
pub(super) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>, keys: &[Key]) -> Call {
    let mut call = Call::default();
    let Some(fields) = reader.fields(node, keys) else {
        return call;
    };
    for node in fields.all() {
        match node.name() {
            "profile" => call.profile = profile(reader, node),
            "arguments" => call.arguments = arguments::read(reader, node),
            "rate" => call.rate = reader.quantity(node, quantity::calls),
            "in_flight" => call.in_flight = reader.quantity(node, quantity::count),
            "deadline" => call.deadline = bounds::deadline(reader, node),
            "approval_within" => call.approval_within = bounds::approval_within(reader, node),
            "expires" => call.expires = bounds::expires(reader, node),
            "max_request" => call.max_request = bounds::bytes(reader, node),
            "max_result" => call.max_result = bounds::bytes(reader, node),
            "approval" => {
                let words = [Approval::Never, Approval::Ask].map(|word| (word.name(), word));
                call.approval = reader.word(node, &words);
            }
            "durable" => call.durable = reader.boolean(node),
            "reverse" => call.reverse = reader.list(node, reverse),
            "instructions" => call.instructions = reader.boolean(node),
            "ready" => call.ready = bounds::ready(reader, node),
            "cycle" => call.cycle = reader.reason(node),
            "grant" => {
                let origin = reader.origin_of_key(node);
                call.grant = grant(reader, node).map(|value| Written { value, origin });
            }
            _ => {
                call.reach.read(reader, node);
            }
        }
    }
    call
}

fn profile<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Place>> {
    if node.value.as_str().is_some_and(|text| text.starts_with("builtin:")) {
        let remedy = "write a profile of your own that extends it, with a [command] and a [serve]";
        reader.refuse(node, "a builtin profile names no command", remedy);
        return None;
    }
    let folder = reader.source.folder.clone();
    let relative = folder.as_ref().map_or(Relative::FromCwd, Relative::From);
    files::place(reader, node, relative)
}

fn reverse<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Reverse>> {
    let words = [Reverse::Elicitation, Reverse::Sampling].map(|word| (word.name(), word));
    reader.word(node, &words)
}

fn grant<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<EdgeGrant> {
    let fields = reader.fields(node, GRANT)?;
    let mut grant = EdgeGrant::default();
    if let Some(node) = fields.get("files") {
        let lists = reader.fields(node, GRANT_FILES);
        for list in lists.iter().flat_map(|lists| lists.all()) {
            grant.files.extend(files::granted(reader, list));
        }
    }
    if let Some(node) = fields.get("network") {
        grant.network = network::read(reader, node);
    }
    Some(grant)
}
