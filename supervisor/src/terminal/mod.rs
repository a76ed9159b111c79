//! The user's terminal, which a command never gets to hold.

pub mod filter;
