//! What the broker is told.
//!
//! A [`BrokerPlan`] is complete, as the shim's plan is: no default, nothing that may be missing and
//! then means something. `sandboxd-profiles` makes it, the supervisor ships it in a sealed memfd and
//! checks every wish of the broker against it, the broker obeys it. An empty list allows nothing and
//! `0` allows nothing; what has no limit says `"unlimited"`.
//!
//! Read in this order: [`quantity`], [`pattern`] and [`plain`] (the words), [`caller`], [`callee`], [`edge`],
//! then [`wire`] with [`bytes`] (how a plan becomes bytes, and what must fit together in it). What the broker
//! says in turn, of what happened, is a [`record`]; of tools that are to be kept, what was [`seen`], in [`words`] too; of those that
//! were called, which were [`meant`]. What of foreign text is not seen, [`letters`] knows.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bytes;
pub mod callee;
pub mod caller;
pub mod edge;
pub mod fixed;
pub mod letters;
pub mod meant;
pub mod pattern;
pub mod plain;
pub mod quantity;
pub mod record;
pub mod seen;
pub mod wire;
pub mod words;

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

pub use callee::{Breaker, Callee, Instances, Pin, Pinning, Speaks};
pub use caller::{Caller, Quarantine};
pub use edge::{
    Approval, Arguments, Durability, Edge, Instructions, Placeholder, Queue, Reach, Repeats,
    Reverse, Root,
};
pub use pattern::{Name, Pattern};
pub use quantity::{Bound, Bytes, Millis, Rate};

/// The version of this wire. Raised with every change to a type of this crate.
pub const VERSION: u32 = 3;

/// Everything the broker does and lets be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerPlan {
    /// Always [`VERSION`]; a broker refuses any other.
    pub version: u32,
    /// The id of the sandbox or fleet that the broker serves, for messages and records.
    pub id: String,
    /// Counts changes of the graph; it is in every record and every approval.
    pub generation: u64,
    /// What holds for all callers together.
    pub limits: Limits,
    /// Who may connect.
    pub callers: Vec<Caller>,
    /// Who may be called.
    pub callees: Vec<Callee>,
    /// Who may call whom, and how. An edge's number is its place in this list.
    pub edges: Vec<Edge>,
}

/// What holds for all callers together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Calls of everybody.
    pub rate: Rate,
    /// Calls that are being answered at the same time.
    pub in_flight: Bound,
    /// How many edges a chain of calls may take: A → B is one, A → B → C two.
    pub hops: u32,
    /// Malformed lines before the connection is closed.
    pub strikes: u32,
    /// Progress notifications of one call; what exceeds it is dropped.
    pub progress: Rate,
}
