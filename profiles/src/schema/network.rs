//! `[network]`: what can be reached.

use super::deadlines::{DEADLINES, EgressDeadlines};
use super::egress::{self, Egress, EgressLimits, LIMITS};
use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::reader::{Node, Reader};
use sandboxd_egress_plan::Ways;

/// The keys of `[network]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "mode",
        doc: "none (the default), egress: only the hosts named in egress, or host, which needs a reason",
        shape: Shape::Words(&["none", "egress", "host"]),
    },
    Key { name: "reason", doc: "why mode is host; required then", shape: Shape::Text },
    Key {
        name: "egress",
        doc: "hosts that can be reached: \"api.example.com:443\" (TLS), \"*.example.com:443\", \
              \"http://host.internal:8080\", \"tcp://db.internal:5432\", \"tcp://10.0.0.0/8:22\", or a \
              table with limits",
        shape: Shape::Entries(egress::KEYS, "to"),
    },
    Key {
        name: "way",
        doc: "how connections get out, if mode is egress: transparent (the default; the kernel redirects \
              all connections, without proxy settings), proxy (a proxy at 127.0.0.1:3128 for programs \
              that use HTTPS_PROXY and the like, which are set; for hosts whose kernel cannot redirect), \
              or both",
        shape: Shape::Words(&["transparent", "proxy", "both"]),
    },
    LIMITS[0],
    LIMITS[1],
    LIMITS[2],
    LIMITS[3],
    DEADLINES[0],
    DEADLINES[1],
];

/// `[network]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The mode.
    pub mode: Option<Written<Mode>>,
    /// Why mode is host.
    pub reason: Option<Written<String>>,
    /// The hosts that can be reached.
    pub egress: Vec<Written<Egress>>,
    /// How connections get to the egress process.
    pub way: Option<Written<Ways>>,
    /// Limits of all entries together.
    pub limits: EgressLimits,
    /// Timeouts of a connection, whatever its entry says.
    pub deadlines: EgressDeadlines,
}

/// Which network the command is in, from the least to the most that it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// One of its own, with nothing in it.
    None,
    /// One of its own, in which everything leads to the egress process.
    Egress,
    /// The host's.
    Host,
}

impl Mode {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Egress, Self::Host];

    /// Its word in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Egress => "egress",
            Self::Host => "host",
        }
    }
}

impl Network {
    /// Which network, where it says so and where it does not.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode.as_ref().map_or(Mode::None, |mode| mode.value)
    }

    /// How what goes out gets there, where it says so and where it does not.
    #[must_use]
    pub fn ways(&self) -> Ways {
        self.way.as_ref().map_or(Ways::Transparent, |way| way.value)
    }

    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.mode, over.mode);
        replace(&mut self.reason, over.reason);
        self.egress.extend(over.egress);
        replace(&mut self.way, over.way);
        self.limits.lay(over.limits);
        self.deadlines.lay(over.deadlines);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Network {
    let mut network = Network::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return network;
    };
    for node in fields.all() {
        match node.name() {
            "mode" => {
                network.mode = reader.word(node, &Mode::ALL.map(|mode| (mode.name(), mode)));
            }
            "reason" => network.reason = reader.reason(node),
            "way" => network.way = reader.word(node, &Ways::ALL.map(|way| (way.name(), way))),
            "egress" => network.egress = reader.list(node, egress::entry),
            _ if network.limits.read(reader, node) => {}
            _ => {
                network.deadlines.read(reader, node);
            }
        }
    }
    network
}
