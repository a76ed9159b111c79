//! How what a program in the sandbox opens comes to the egress process.

use core::net::{Ipv4Addr, SocketAddrV4};
use serde::{Deserialize, Serialize};

/// Where the proxy listens, inside: on the sandbox's own loopback, where nobody else has listened yet. The
/// port that proxies have; programs are told it in their variables before there is a socket.
pub const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128);

/// How connections come to the egress process. What may leave is the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ways {
    /// The kernel leads all of them there, and no program needs to know.
    Transparent,
    /// Programs ask the [proxy](PROXY) for them; what they open to anybody else goes nowhere.
    Proxy,
    /// Those who know of the proxy ask it, and the kernel leads the others.
    Both,
}

impl Ways {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Transparent, Self::Proxy, Self::Both];

    /// Its word in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transparent => "transparent",
            Self::Proxy => "proxy",
            Self::Both => "both",
        }
    }

    /// The one that is written so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ways| ways.name() == name)
    }

    /// Whether the kernel leads connections there.
    #[must_use]
    pub const fn redirects(self) -> bool {
        matches!(self, Self::Transparent | Self::Both)
    }

    /// Whether there is a proxy.
    #[must_use]
    pub const fn proxies(self) -> bool {
        matches!(self, Self::Proxy | Self::Both)
    }
}
