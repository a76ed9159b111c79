//! What the shim and init say to the supervisor, and what it says to them.
//!
//! [`Report`]s are JSON, one per packet, written before any line of the command's has run. After
//! that, init and the supervisor exchange [`Control`] and [`Ended`], which are fixed-size, because
//! init shares a machine with the command and its words should need no parser.

use crate::{Answer, Failure};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What the shim says before the command runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Report {
    /// Every layer is on and every probe gave the planned answer; the shim waits for `go`.
    Enforced(Enforced),
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

/// What the supervisor asks of init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Send this signal to the command's process group, signal(7).
    Signal(u8),
}

impl Control {
    /// Its two bytes.
    #[must_use]
    pub const fn encode(self) -> [u8; 2] {
        match self {
            Self::Signal(number) => [b's', number],
        }
    }

    /// The request in a packet; nothing where the packet is not one.
    #[must_use]
    pub const fn decode(packet: &[u8]) -> Option<Self> {
        match packet {
            [b's', number] if *number > 0 && *number < 65 => Some(Self::Signal(*number)),
            _ => None,
        }
    }
}

/// What became of the command, in init's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It ended with this exit status.
    Exited(u8),
    /// It was ended by this signal.
    Signaled(u8),
    /// It was stopped by this signal and is still there.
    Stopped(u8),
    /// It goes on after having been stopped.
    Continued,
}

impl Ended {
    /// Its two bytes.
    #[must_use]
    pub const fn encode(self) -> [u8; 2] {
        match self {
            Self::Exited(status) => [b'e', status],
            Self::Signaled(signal) => [b'k', signal],
            Self::Stopped(signal) => [b't', signal],
            Self::Continued => [b'c', 0],
        }
    }

    /// The message in a packet; nothing where the packet is not one.
    #[must_use]
    pub const fn decode(packet: &[u8]) -> Option<Self> {
        match packet {
            [b'e', status] => Some(Self::Exited(*status)),
            [b'k', signal] => Some(Self::Signaled(*signal)),
            [b't', signal] => Some(Self::Stopped(*signal)),
            [b'c', 0] => Some(Self::Continued),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_its_two_bytes_and_nothing_else_decodes() {
        for message in
            [Ended::Exited(0), Ended::Exited(255), Ended::Signaled(9), Ended::Stopped(19), Ended::Continued]
        {
            assert_eq!(Ended::decode(&message.encode()), Some(message));
        }
        assert_eq!(Control::decode(&Control::Signal(15).encode()), Some(Control::Signal(15)));
        for packet in [&b""[..], b"s", b"s\0", b"s\xff", b"x1", b"s12", b"c1"] {
            assert_eq!(Control::decode(packet), None);
        }
        assert_eq!(Ended::decode(b"c1"), None);
    }
}
