//! The caller's terminal: what of it the command gets, and how it is given back.
//!
//! Read in this order: [`console`] (carrying) with [`piece`], [`outer`] (the terminal itself), [`filter`]
//! (what may be shown) with [`allowed`] and [`modes`].

mod allowed;
pub(crate) mod console;
pub mod filter;
mod modes;
mod outer;
mod piece;
