//! An ssh-agent that signs, for the sessions and texts that its plan names, and does nothing else: [`message`]
//! (what a client asks), [`asked`] (what it wants signed), [`public`] (whether a host signed what is said of a
//! session), [`private`] (the keys), and [`agent`], which joins them. [`known`] finds by which keys hosts are known.
//!
//! <https://datatracker.ietf.org/doc/draft-ietf-sshm-ssh-agent/>, and PROTOCOL.agent of OpenSSH.

pub mod agent;
pub mod asked;
pub mod keeper;
pub mod known;
pub mod message;
pub mod private;
pub mod public;
mod wire;
