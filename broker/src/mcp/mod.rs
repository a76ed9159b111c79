//! The Model Context Protocol, as far as the broker has to understand it.
//!
//! Two eras are passed on and neither is translated: up to 2025-11-25 a connection begins with
//! `initialize` and the server may ask back; since 2026-07-28 each request says in its `_meta` what it
//! speaks, and is asked back by a result. [`method`] says what a method is, [`stamp`] puts the kernel's
//! proof into a request, [`list`] takes out of a list what the edge does not have, [`input`] what is
//! asked back by a result, [`pins`] and [`catalogue`] hold tools to what they were when they were accepted,
//! and [`words`] says to people what that is.

pub mod catalogue;
pub mod input;
pub mod list;
pub mod method;
pub mod pins;
pub mod stamp;
pub mod words;

use crate::json::Object;

/// The key that a request of the newer era has in its `_meta`.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// What such a request says by it: of the newer era there is one version so far.
const MODERN: &str = "2026-07-28";

/// In which way a request says what it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Up to 2025-11-25: by the handshake before it.
    Legacy,
    /// Since 2026-07-28: by itself.
    Modern,
}

impl Era {
    /// The era of a request, by its parameters.
    #[must_use]
    pub fn of(params: Option<&Object>) -> Self {
        let meta = params.and_then(|params| params.get("_meta")?.as_object());
        if meta.is_some_and(|meta| meta.get(VERSION).is_some()) {
            Self::Modern
        } else {
            Self::Legacy
        }
    }
}
