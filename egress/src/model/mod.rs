//! What model APIs are asked, what they answer, and what of that they say they used.
//!
//! ```text
//!  head of a request ──▶ [`api`]: is it a call that can be counted?
//!  body of a request ──▶ [`ask`]: is it answered at once?
//!  body of an answer ──▶ [`sse`] events ──▶ [`json`] values ──▶ [`count`]: tokens
//! ```
//!
//! Everything is read as it passes by and in bounded memory, and nothing of it is changed.

pub mod api;
pub mod ask;
pub mod count;
pub mod json;
pub mod sse;
