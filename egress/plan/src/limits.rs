//! How much, how often and how long.

use sandboxd_broker_plan::{Bound, Millis, Rate};
use serde::{Deserialize, Serialize};

/// How much goes out, by one rule or by several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Connections that are open at the same time.
    pub connections: Bound,
    /// How often one may be opened; where requests are seen, how often one may be made.
    pub rate: Rate,
    /// Bytes that leave the sandbox, in its whole life.
    pub up: Bound,
    /// Bytes that come back, in its whole life.
    pub down: Bound,
}

/// How long a connection of a rule may last, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// With no byte in either direction.
    pub idle: Bound,
    /// Altogether.
    pub total: Bound,
}

/// How long the steps before the first byte may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waits {
    /// Until a client has said what it wants: a ClientHello, a request's head, what SOCKS asks.
    pub head: Millis,
    /// Until an upstream has accepted, for each of its addresses.
    pub connect: Millis,
}
