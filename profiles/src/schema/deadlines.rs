//! `idle` and `total`: timeouts of outgoing connections, for an entry and for all.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};

/// The keys of an entry, and of `[network]` for each entry.
pub(crate) const DEADLINES: [Key; 2] = [
    Key {
        name: "idle",
        doc: "idle timeout of a connection; default for an entry: 1h",
        shape: Shape::Time,
    },
    Key {
        name: "total",
        doc: "maximum duration of a connection; default: unlimited",
        shape: Shape::Time,
    },
];

/// Timeouts of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressDeadlines {
    /// Milliseconds without any data.
    pub idle: Option<Written<Amount>>,
    /// Milliseconds in total.
    pub total: Option<Written<Amount>>,
}

impl EgressDeadlines {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.idle, over.idle);
        replace(&mut self.total, over.total);
    }

    /// Reads one of them; false where it is none.
    pub(crate) fn read<'d>(&mut self, reader: &mut Reader<'d>, node: &Node<'d>) -> bool {
        match node.name() {
            "idle" => self.idle = reader.quantity(node, quantity::time),
            "total" => self.total = reader.quantity(node, quantity::time),
            _ => return false,
        }
        true
    }
}
