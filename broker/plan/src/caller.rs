//! Who may connect.

use crate::{Bound, Millis, Name, Rate};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A sandbox with an identity, or the client outside of `sandboxd mcp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// What it is called, by the kernel's proof and not by its own word.
    pub name: Name,
    /// Its calls, over all its edges.
    pub rate: Rate,
    /// Its lists and discoveries, which have a bucket of their own.
    pub lists: Rate,
    /// Connections that it may have open.
    pub connections: u32,
    /// Calls that it may make in its life, its tools' calls for it among them.
    pub calls: Bound,
    /// What follows many denials.
    pub quarantine: Quarantine,
    /// Secrets that stand in arguments of its calls, by their names; what they are comes another way, in this order.
    pub secrets: Vec<Name>,
}

/// More than `denials` within `window`: nothing goes through for `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// Denials that are borne within a window.
    pub denials: u32,
    /// The window.
    pub window: Millis,
    /// How long the caller is refused everything.
    pub length: Millis,
}
