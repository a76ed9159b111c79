//! Stage `self-test`: what the shim tries, as the command and behind every layer, before the command
//! runs.

use crate::JailPath;
use alloc::{format, string::String};
use serde::{Deserialize, Serialize};

/// Something tried, and the answer that lets the run go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Probe {
    /// Open a path for reading.
    Open {
        /// Which.
        path: JailPath,
        /// The errno expected.
        errno: i32,
    },
    /// Open a path for writing.
    OpenWrite {
        /// Which.
        path: JailPath,
        /// The errno expected.
        errno: i32,
    },
    /// Make a system call with all arguments zero. Only for calls that fail harmlessly should they
    /// get through.
    Syscall {
        /// Its number.
        number: u32,
        /// The errno expected.
        errno: i32,
    },
    /// Make a socket.
    Socket {
        /// Address family, socket(2).
        family: u16,
        /// Type, socket(2).
        kind: u32,
        /// Protocol.
        protocol: u32,
        /// The errno expected.
        errno: i32,
    },
    /// Connect a TCP socket to an IPv4 address that no sandbox may reach.
    Connect {
        /// The address.
        address: [u8; 4],
        /// The port.
        port: u16,
        /// The errno expected.
        errno: i32,
    },
    /// Become root again.
    Setuid {
        /// The errno expected.
        errno: i32,
    },
    /// Every capability set is empty, the ambient one among them, and the bounding one where the plan
    /// empties it.
    NoCapabilities,
    /// Ask whether init could be signalled, kill(2) with signal 0.
    SignalInit {
        /// The errno expected.
        errno: i32,
    },
    /// `no_new_privs` is set.
    NoNewPrivs,
    /// A seccomp filter is active.
    Filtered,
    /// The ids are the planned ones, and there is no supplementary group where none is to be left.
    Identity,
    /// No descriptor is open but 0, 1, 2, the report socket, a pinned program and the command's sockets.
    Descriptors,
}

impl Probe {
    /// The words that failures and receipts use for it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Open { path, .. } => format!("read {path}"),
            Self::OpenWrite { path, .. } => format!("write {path}"),
            Self::Syscall { number, .. } => format!("system call {number}"),
            Self::Socket { family, kind, protocol, .. } => {
                format!("socket family {family} type {kind} protocol {protocol}")
            }
            Self::Connect { address: [a, b, c, d], port, .. } => {
                format!("connect {a}.{b}.{c}.{d}:{port}")
            }
            Self::Setuid { .. } => String::from("become root"),
            Self::SignalInit { .. } => String::from("signal init"),
            Self::NoCapabilities => String::from("capabilities"),
            Self::NoNewPrivs => String::from("no_new_privs"),
            Self::Filtered => String::from("seccomp filter"),
            Self::Identity => String::from("ids"),
            Self::Descriptors => String::from("descriptors"),
        }
    }
}

/// What a probe found, for the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// [`Probe::name`].
    pub probe: String,
    /// The errno, or 0 where the probe looks at a state and the state is as planned.
    pub errno: i32,
}
