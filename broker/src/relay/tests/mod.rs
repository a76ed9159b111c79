//! The relay, with callers that mean no good and callees that are made up.

mod behalf;
mod calls;
mod instances;
mod limits;
mod mcp;
mod pinned;
mod revoke;
mod rounds;
mod secrets;
mod soak;
pub(crate) mod world;
