//! Profiles: what the operator writes, checked and resolved into what the shim executes.
//!
//! Nothing here looks at a host, reads a file or asks the kernel. Read in this order: [`load()`] (texts
//! to a [`Profile`]), [`schema`] (its tables), [`Overrides`] (the command line on top of it), [`wanted()`]
//! (what must be known of the host), [`resolve()`] (the plan), [`graph`] (calls between profiles), and [`protect`], [`builtin`], [`syscalls`]
//! (the tables of what is known).
#![forbid(unsafe_code)]

pub mod builtin;
pub mod graph;
pub mod host;
mod load;
mod meet;
mod origin;
mod overrides;
mod place;
pub mod problem;
pub mod protect;
mod quantity;
mod reader;
mod resolve;
pub mod resolved;
pub mod schema;
mod source;
pub mod syscalls;
mod wanted;
pub mod why;

pub use graph::Graph;
pub use host::{HostFacts, Lease};
pub use load::load;
pub use origin::{Origin, Written};
pub use overrides::Overrides;
pub use place::{Base, Folders, Place};
pub use problem::Problem;
pub use quantity::Amount;
pub use resolve::{
    Accepts, Area, Calls, Credentials, Explained, IN_A_CONTAINER, Invocation, Listening, Manager,
    Passed, SYSTEM, Sources, Stream, Whose, budget, explain, resolve,
};
pub use resolved::{Copied, Escape, From, Hangup, Held, Outside, Placeholder, Resolved, Wire};
pub use schema::Profile;
pub use schema::json::schema;
pub use source::{Document, MOST_BYTES, MOST_VALUES};
pub use wanted::{Wanted, wanted};
