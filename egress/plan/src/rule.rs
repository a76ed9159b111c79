//! Where to, and what.

use crate::{Deadlines, HOST_INTERNAL, HostName, Network};
use alloc::{string::String, vec::Vec};
use core::net::IpAddr;
use sandboxd_broker_plan::Pattern;
use serde::{Deserialize, Serialize};

/// One entry of `[network].egress`. What one rule allows no other takes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// As the profile has it, for messages.
    pub written: String,
    /// Whom it leads to.
    pub target: Target,
    /// On which port.
    pub port: u16,
    /// What may be said there.
    pub carries: Carries,
    /// Networks that are not the public internet and in which a name of this rule may lie all the
    /// same. Never the host's loopback, which is [`Target::Host`].
    pub within: Vec<Network>,
    /// Addresses that it means where they are the host's own too: each is written exactly, and by all
    /// whose rule this is.
    pub own: Vec<IpAddr>,
    /// Which of the plan's accounts bear what it lets out, by their places; each of them has room for
    /// it, or it does not go. One at least.
    pub accounts: Vec<u32>,
    /// How long.
    pub deadlines: Deadlines,
    /// Whether it leads to a model API: then only what such an API is asked for goes there, and what it
    /// says that it used is counted.
    pub model: bool,
}

/// Whom a rule leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// This name.
    Name(HostName),
    /// Every name below this one, but not itself.
    Below(HostName),
    /// These addresses, where a client names none but an address. Of a network that is wider than the
    /// ranges which are not public, only the public part.
    Network(Network),
    /// The host's own loopback, which is called [`crate::HOST_INTERNAL`] inside.
    Host,
}

impl Target {
    /// Whether a client that names this host is led there.
    #[must_use]
    pub fn has_name(&self, name: &HostName) -> bool {
        match self {
            Self::Name(own) => own == name,
            // What is called so is the host's loopback, whatever else a rule has.
            Self::Below(above) => name.is_below(above) && name.as_str() != HOST_INTERNAL,
            Self::Host => name.as_str() == HOST_INTERNAL,
            Self::Network(_) => false,
        }
    }
}

/// What may be said on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carries {
    /// TLS with the name that the rule allowed, and no other behind it. What is said in it is not
    /// seen.
    Tls,
    /// TLS that is ended here: HTTP/1 in it, each request to that name, and on in TLS of its own. Where
    /// a rule has a place so, all TLS to that place is ended, also what other rules let out.
    Https(Requests),
    /// HTTP/1 in plain text, each request to that name.
    Http(Requests),
    /// Any bytes.
    Tcp,
}

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Requests {
    /// All but `CONNECT`.
    All,
    /// Those of a method, to a path.
    Only {
        /// The method.
        method: Method,
        /// The path without the query; it begins with `/`, or is `*`.
        path: Pattern,
    },
}

impl Carries {
    /// Which requests it lets out, where they are seen.
    #[must_use]
    pub const fn requests(&self) -> Option<&Requests> {
        match self {
            Self::Https(requests) | Self::Http(requests) => Some(requests),
            Self::Tls | Self::Tcp => None,
        }
    }
}

/// The method of a request: capital letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Method(String);

impl Method {
    /// The method as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Method {
    type Error = MethodError;

    fn try_from(text: String) -> Result<Self, MethodError> {
        let capital = text.bytes().all(|byte| byte.is_ascii_uppercase());
        if capital && !text.is_empty() && text.len() <= 32 && text != "CONNECT" {
            Ok(Self(text))
        } else {
            Err(MethodError)
        }
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.0
    }
}

/// A text is not a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodError;

impl core::fmt::Display for MethodError {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.write_str("a method is 1 to 32 capital letters, and not CONNECT")
    }
}

impl core::error::Error for MethodError {}
