//! `[network]`: what can be reached.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::reader::{Node, Reader};

/// The keys of `[network]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "mode",
        doc: "none (the default), or host, which needs a reason",
        shape: Shape::Words(&["none", "host"]),
    },
    Key { name: "reason", doc: "why, where mode is host", shape: Shape::Text },
    Key { name: "egress", doc: "", shape: Shape::Unbuilt },
];

/// `[network]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Which network.
    pub mode: Option<Written<Mode>>,
    /// Why the host's.
    pub reason: Option<Written<String>>,
}

/// Which network the command is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One of its own, with nothing in it.
    None,
    /// The host's.
    Host,
}

impl Network {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.mode, over.mode);
        replace(&mut self.reason, over.reason);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Network {
    let mut network = Network::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return network;
    };
    for node in fields.all() {
        match node.name() {
            "mode" if node.value.as_str() == Some("egress") => {
                reader.refuse(
                    node,
                    "egress is not built yet in this version",
                    "write none or host",
                );
            }
            "mode" => {
                let words = [("none", Mode::None), ("host", Mode::Host)];
                network.mode = reader.word(node, &words);
            }
            _ => network.reason = reader.reason(node),
        }
    }
    network
}
