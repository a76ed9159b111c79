//! One file per stage. Each takes the proof of the stage before and makes its own, which no other
//! file can; read them in this order.

pub(crate) mod plan;

pub(crate) mod session;

pub(crate) mod namespaces;

pub(crate) mod root;

pub(crate) mod limits;

pub(crate) mod terminal;

mod sockets;
pub(crate) mod split;

pub(crate) mod identity;

pub(crate) mod landlock;

pub(crate) mod seccomp;

pub(crate) mod self_test;

pub(crate) mod exec;
