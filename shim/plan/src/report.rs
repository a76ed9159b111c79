//! What the shim and init say to the supervisor.
//!
//! [`Report`]s are JSON, one per packet, written before any line of the command's has run. What init
//! says after that, a [`Notice`], is two bytes, because init lives beside the command and its words
//! should need no parser. The supervisor says [`GO`] once, and nothing else: it signals the command
//! itself, through its pidfd, because init has neither the command's uid nor a capability.

use crate::{Answer, Arrives, Failure};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What the shim says before the command runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Report {
    /// Every layer is on and every probe gave the planned answer; the shim waits for `go`.
    Enforced(Enforced),
    /// The other end of the command's terminal, a descriptor that comes with this packet.
    Terminal,
    /// Where the supervisor is asked about calls that are refused, a descriptor that comes with this packet.
    Refusals,
    /// Where what the command says arrives, a socket that comes with this packet.
    Endpoint(Arrives),
    /// The command does not run, and why.
    Failed(Failure),
}

/// What holds, as the shim found it from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enforced {
    /// The answer of every probe, in the plan's order.
    pub answers: Vec<Answer>,
}

/// Sent by the supervisor once it has compared the sandbox from outside; the shim then executes.
pub const GO: u8 = b'g';

/// What init says to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Init is confined and watches over the command, whose pidfd comes with this packet.
    Ready,
    /// The command ended with this exit status.
    Exited(u8),
    /// The command was ended by this signal.
    Signaled(u8),
    /// The command was stopped by this signal and is still there.
    Stopped(u8),
    /// The command goes on after having been stopped.
    Continued,
}

impl Notice {
    /// Its two bytes.
    #[must_use]
    pub const fn encode(self) -> [u8; 2] {
        match self {
            Self::Ready => [b'r', 0],
            Self::Exited(status) => [b'e', status],
            Self::Signaled(signal) => [b'k', signal],
            Self::Stopped(signal) => [b't', signal],
            Self::Continued => [b'c', 0],
        }
    }

    /// The notice in a packet; nothing where the packet is not one.
    #[must_use]
    pub const fn decode(packet: &[u8]) -> Option<Self> {
        match packet {
            [b'r', 0] => Some(Self::Ready),
            [b'e', status] => Some(Self::Exited(*status)),
            [b'k', signal @ 1..=64] => Some(Self::Signaled(*signal)),
            [b't', signal @ 1..=64] => Some(Self::Stopped(*signal)),
            [b'c', 0] => Some(Self::Continued),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_survives_its_two_bytes_and_nothing_else_decodes() {
        for notice in [
            Notice::Ready,
            Notice::Exited(0),
            Notice::Exited(255),
            Notice::Signaled(9),
            Notice::Stopped(19),
            Notice::Continued,
        ] {
            assert_eq!(Notice::decode(&notice.encode()), Some(notice));
        }
        for packet in [&b""[..], b"e", b"k\0", b"k\xff", b"x1", b"e12", b"c1", b"r1"] {
            assert_eq!(Notice::decode(packet), None, "{packet:?}");
        }
    }
}
