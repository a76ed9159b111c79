//! What the egress process is told, and what it tells.
//!
//! An [`EgressPlan`] is complete, as the shim's plan is: no default, nothing that may be missing and
//! then means something. `sandboxd-profiles` makes it, the supervisor ships it, the egress process
//! obeys it. An empty list allows nothing and `0` allows nothing; what has no limit says
//! `"unlimited"`.
//!
//! Read in this order: [`host`] and [`network`] (the words), [`rule`], [`address`] (which addresses a rule leads to), [`inject`], [`ssh`], [`limits`],
//! [`budget`], [`ways`], then [`wire`] (how a plan becomes bytes, and what must fit together in it) and [`record`] (what comes back).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod budget;
pub mod host;
pub mod inject;
pub mod limits;
pub mod network;
pub mod record;
pub mod rule;
pub mod ssh;
pub mod ways;
pub mod wire;

use alloc::{string::String, vec::Vec};
use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};

pub use budget::{Budget, Level, Price, Spent, Tokens, Told, Use, money};
pub use host::{HOST_INTERNAL, HostError, HostName};
pub use inject::{FieldName, Inject, Spot, Which};
pub use limits::{Deadlines, Limits, Waits};
pub use network::{Network, NetworkError};
pub use record::{Record, Verdict};
pub use rule::{Carries, Requests, Rule, Target};
pub use sandboxd_broker_plan::{Bound, Breaker, Bytes, Millis, Rate};
pub use ssh::{Agent, Fingerprint, HostKey, Kept, Login, Signed, Signer, Signing};
pub use ways::{PROXY, Ways};

/// The version of this wire. Raised with every change to a type of this crate.
pub const VERSION: u32 = 3;

/// Everything that the egress process lets out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressPlan {
    /// Always [`VERSION`]; an egress process refuses any other.
    pub version: u32,
    /// The id of the sandbox that it serves, for messages and records.
    pub id: String,
    /// How connections come to the egress process.
    pub ways: Ways,
    /// Where to, and what. What no rule names does not leave. A rule's number is its place here.
    pub rules: Vec<Rule>,
    /// What the secrets are called, for messages. A secret's number is its place here; what it is
    /// comes another way, and is in no plan.
    pub secrets: Vec<String>,
    /// What is put into requests. Where several put something into the same spot of a request, the
    /// first does.
    pub injects: Vec<Inject>,
    /// What signs, where a program asks for it as an ssh-agent.
    pub agent: Agent,
    /// How much and how often: limits that rules share, and those that one has alone.
    pub accounts: Vec<Limits>,
    /// What may be used up: each of them bears all that goes out.
    pub budgets: Vec<Budget>,
    /// How long a client and an upstream may take for each step.
    pub waits: Waits,
    /// Connections that are open and have not said yet what they want.
    pub pending: u32,
    /// When an upstream (a name or address, and a port) that fails is left alone.
    pub breaker: Breaker,
    /// The addresses that names have inside.
    pub fakes: Fakes,
    /// Who is asked where a name really is.
    pub resolver: Resolver,
}

/// The addresses that names have inside the sandbox. They mean nothing anywhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fakes {
    /// The range that each family takes them from; the answer for a family with no range is empty.
    /// Not more than one of each family.
    pub ranges: Vec<Network>,
    /// Names that have one at the same time; the one not used for longest makes room.
    pub names: u32,
    /// How many seconds a client may keep an answer.
    pub ttl: u32,
}

/// Who is asked for the addresses of a name, after a rule allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// What is known without asking, as `/etc/hosts` of the host has it. The first that fits.
    pub hosts: Vec<Known>,
    /// DNS servers, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// How long one may take.
    pub wait: Millis,
    /// How often all of them are asked, one after the other.
    pub rounds: u32,
}

/// A name whose addresses are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The name.
    pub name: HostName,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}
