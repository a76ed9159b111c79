//! The caller's terminal: what of it the command gets, and how it is given back.
//!
//! Read in this order: [`console`] (carrying) with [`piece`] and its end, [`outer`] (the terminal itself),
//! [`filtering`] (what goes through the filter). The [`filter`] itself (what may be shown), with
//! [`allowed`] and [`modes`], runs in a process of its own, see `service::terminal`.

mod allowed;
pub(crate) mod console;
pub mod filter;
mod filtering;
mod modes;
mod outer;
mod piece;
