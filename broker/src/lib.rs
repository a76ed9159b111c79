//! The broker: carries calls between sandboxes, along the edges that it was told and no others.
//!
//! Nothing here does input or output, reads a clock or starts a thread, but for [`io`], which moves
//! bytes. The rest is told what happened and at which time, and says what is to be done, so that
//! every rule can be tried without a socket.
//!
//! A line of a caller takes this way, and each file is a step of it: [`frame`] (a line, counted while
//! it is read), [`json`] (a value), [`rpc`] (a message), [`mcp`] (what it asks for, and whether this
//! edge has it), [`schema`] (whether its arguments are what they must be), [`limit`] (whether it is
//! its turn), and [`relay`], which joins them and knows who waits for whom. [`approve`] is what a
//! person is asked about it; what is written down is a [`record`](sandboxd_broker_plan::record).
#![forbid(unsafe_code)]

pub mod approve;
pub mod former;
pub mod frame;
pub mod io;
pub mod json;
pub mod limit;
pub mod mcp;
pub mod refusal;
pub mod relay;
pub mod rpc;
pub mod schema;
pub mod secret;
pub mod swap;
