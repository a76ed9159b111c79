//! The way out of a sandbox: by the names that its profile has, and no other.
//!
//! Nothing here does input or output, reads a clock or waits, but for [`io`], which moves bytes. The
//! rest is told what somebody wrote and says what it means, so that every rule can be tried without a
//! socket. Whatever exceeds a bound, is malformed or may be read in two ways is refused.
//!
//! What a client does takes this way, and each file is a step of it: [`dns`] (a question for a name),
//! [`names`] (the address that a name has inside), then on a connection [`socks`] or [`http`] (whom it
//! is for, where it comes by the proxy), [`hello`] or [`http`] again (what is said on it), [`rule`]
//! (whether a rule has that), [`limit`] (whether it is its turn), [`address`] (whether what the name
//! leads to may be connected to). Where TLS is ended, [`authority`] has the certificates that stand for the
//! upstreams', [`secret`] and [`put`] what is put into requests, and [`mask`] what covers it in answers. What a model API
//! answers is counted by [`model`], and [`purse`] knows whether there is more. Logins over SSH are signed by [`ssh`].
//! [`io`] joins them.
#![forbid(unsafe_code)]

pub mod authority;
pub mod dns;
pub mod hello;
pub mod http;
pub mod io;
pub mod limit;
pub mod mask;
pub mod model;
pub mod names;
pub mod purse;
pub mod put;
pub mod rule;
pub mod secret;
pub mod socks;
pub mod ssh;

pub use io::{Ends, Handed, Sockets, serve};
pub use sandboxd_egress_plan::address;

/// What a reader makes of the bytes that are there so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// There must be more before it can be said.
    More,
    /// It is this, and takes so many bytes.
    Done(T, usize),
}
