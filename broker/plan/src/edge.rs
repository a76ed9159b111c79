//! Who may call whom, and how.

use crate::{Bound, Bytes, Millis, Name, Pattern, Rate};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// "`caller` may call `callee`", a row of the call graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// What the caller calls it: `[call.NAME]`, `sandboxd connect NAME`.
    pub name: Name,
    /// A name of `BrokerPlan::callers`.
    pub caller: Name,
    /// A name of `BrokerPlan::callees`.
    pub callee: Name,
    /// What may be called; the callee's `serves` must have it too.
    pub reach: Reach,
    /// What arguments must look like, beyond the tool's own schema. All that name the tool hold.
    pub arguments: Vec<Arguments>,
    /// Calls over this edge.
    pub rate: Rate,
    /// Calls over this edge that are being answered at the same time.
    pub in_flight: Bound,
    /// Calls that wait for their turn.
    pub queue: Queue,
    /// How long a call may take.
    pub deadline: Millis,
    /// The most bytes of a line from the caller.
    pub max_request: Bytes,
    /// The most bytes of a line from the callee.
    pub max_result: Bytes,
    /// Whether a person is asked.
    pub approval: Approval,
    /// Whether the record is on the disk before the call goes on.
    pub durability: Durability,
    /// What the callee may ask of its caller.
    pub reverse: Vec<Reverse>,
    /// What `roots/list` is answered with.
    pub roots: Vec<Root>,
    /// Whether the callee's own instructions to the model are passed on.
    pub instructions: Instructions,
    /// How often the very same call is made.
    pub repeats: Repeats,
    /// Where a secret of the caller's stands for its placeholder; nowhere else does one.
    pub placeholders: Vec<Placeholder>,
}

/// Where `{{secret:NAME}}` in the arguments of a tool is what the secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placeholder {
    /// Which: a place in [`Caller::secrets`](crate::Caller::secrets).
    pub secret: u32,
    /// The tools, each by its name.
    pub tools: Vec<String>,
    /// The arguments, each by a JSON pointer (RFC 6901): it and whatever is below it.
    pub arguments: Vec<String>,
}

impl Placeholder {
    /// How many bytes of [`Edge::max_request`] one counts as, whatever stands for it: how long that is, is nobody's to
    /// find out. No secret is longer there.
    pub const COUNTS: u64 = 8 << 10;
}

/// Names of what may be called; a list without an entry allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// Of `tools/call`.
    pub tools: Vec<Pattern>,
    /// URIs of `resources/read`.
    pub resources: Vec<Pattern>,
    /// Of `prompts/get`.
    pub prompts: Vec<Pattern>,
    /// Of JSON-RPC, where the callee does not speak MCP; and of MCP, where a method is not one of
    /// its own.
    pub methods: Vec<Pattern>,
}

/// What the arguments of a tool must look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The tool's name.
    pub tool: String,
    /// A JSON Schema, as JSON text.
    pub schema: String,
}

/// Calls that wait for their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How many.
    pub length: u32,
    /// How long each, before it is told that the callee is busy.
    pub wait: Millis,
}

/// Whether a person is asked before a call goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Approval {
    /// Nobody is asked.
    Never,
    /// Each call is held until it is approved; no answer in this time is a denial.
    Ask {
        /// How long a call is held.
        expires: Millis,
    },
    /// The same, but for calls of these tools and methods alone.
    AskFor {
        /// Their names.
        names: Vec<Pattern>,
        /// How long a call is held.
        expires: Millis,
    },
}

/// Whether the record of a call is on the disk before the call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The call does not wait for the record.
    Grouped,
    /// The call waits, and is refused where the record cannot be written.
    Durable,
}

/// What a callee may ask of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reverse {
    /// `elicitation/create`: a question to the person at the caller.
    Elicitation,
    /// `sampling/createMessage`: an answer of the caller's model, at its cost.
    Sampling,
}

/// A folder that the callee is told it works in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Its URI.
    pub uri: String,
    /// What it is called.
    pub name: String,
}

/// Whether `instructions` of the callee are passed on to the caller's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instructions {
    /// They are taken out.
    Dropped,
    /// They are passed on.
    Forwarded,
}

/// The same tool with the same arguments, `most` times within `window`: the next is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// How often the same call is made within a window.
    pub most: Bound,
    /// The window.
    pub window: Millis,
}
