//! The caller's terminal: what of it the command gets, and how it is given back.
//!
//! Read in this order: [`filter`] (what may be shown), with [`allowed`] and [`modes`].

mod allowed;
pub mod filter;
mod modes;
