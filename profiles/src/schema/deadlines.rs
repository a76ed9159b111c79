//! `idle` and `total`: how long a connection out may last, of an entry and of all of them.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};

/// The keys of an entry, and of `[network]` for each entry.
pub(crate) const DEADLINES: [Key; 2] = [
    Key {
        name: "idle",
        doc: "how long a connection may carry nothing; default of an entry 1h",
        shape: Shape::Time,
    },
    Key {
        name: "total",
        doc: "how long a connection may last; default unlimited",
        shape: Shape::Time,
    },
];

/// How long one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressDeadlines {
    /// Milliseconds with no byte.
    pub idle: Option<Written<Amount>>,
    /// Milliseconds altogether.
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
