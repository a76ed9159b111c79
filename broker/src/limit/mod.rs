//! Whose turn it is: rates, shares, and what happens to those who fail or knock too often.
//!
//! Every limit of 0 allows nothing. Time is told, in [`Moment`]s.

mod breaker;
mod bucket;
mod fair;
pub mod kept;
mod moment;
mod quarantine;
mod repeats;

pub use breaker::{Fuse, Position};
pub use bucket::{Buckets, Gcra, Saved, Slot};
pub use fair::Fair;
pub use moment::{Moment, Wait};
pub use quarantine::Tripwire;
pub use repeats::Repeated;
