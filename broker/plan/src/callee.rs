//! Who may be called.

use crate::{Bound, Millis, Name, Rate, Reach};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// A tool, or an agent that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callee {
    /// The name of its profile.
    pub name: Name,
    /// What it speaks.
    pub speaks: Speaks,
    /// At most these are served, whatever an edge says.
    pub serves: Reach,
    /// How many processes there are, and for whom.
    pub instances: Instances,
    /// Calls from everybody.
    pub rate: Rate,
    /// Calls that it answers at the same time.
    pub in_flight: Bound,
    /// When it is left alone for a while.
    pub breaker: Breaker,
    /// What its tools must look like.
    pub pinning: Pinning,
    /// Lines that are no messages, which it may write before the instance is stopped.
    pub stray_lines: u32,
    /// How long a cancelled call still takes its place beside the others, unless its answer comes
    /// before. A process for several callers is ended then, once nobody else waits for it.
    pub grace: Millis,
}

/// The methods of a callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    /// The Model Context Protocol, of either era.
    Mcp,
    /// JSON-RPC 2.0 with methods of its own, each an entry of [`Reach::methods`].
    JsonRpc,
}

/// Whose calls a process of the callee sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Instances {
    /// Each connection has a process of its own, under what its caller may have done.
    PerCaller,
    /// One process, one call at a time; what it calls meanwhile is called for that caller.
    Serial,
    /// One process, any number of calls; what it calls meanwhile all its callers must be allowed.
    Attenuate,
    /// One process that acts by its own right.
    Own {
        /// Why, in the operator's words; it is in every record.
        reason: String,
    },
}

/// When a callee that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// The time that is looked back on.
    pub window: Millis,
    /// It opens when so many of a hundred calls within the window failed …
    pub percent: u32,
    /// … of at least so many calls …
    pub calls: u32,
    /// … or when so many failed one after the other.
    pub consecutive: u32,
    /// How long it stays open the first time; twice as long each time after.
    pub first: Millis,
    /// And never longer than this.
    pub longest: Millis,
}

/// What the definitions of a callee's tools must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pinning {
    /// These tools, each with this digest; others are not there. A tool seen for the first time is
    /// told to the supervisor.
    Pinned(Vec<Pin>),
    /// These tools have these digests; another is pinned as it is when it is first seen.
    FirstUse(Vec<Pin>),
}

/// A tool, as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The tool's name, as [`ToolName`](crate::seen::ToolName) has it.
    pub tool: String,
    /// SHA-256 over the canonical JSON of its definition, in hexadecimal.
    pub digest: String,
}
