//! `[budget]`: how much a caller may use up in its life, its tools' calls for it among that.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};

/// The keys of `[budget]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "calls",
        doc: "calls in its life, those of its tools for it among them; default 10000",
        shape: Shape::Count,
    },
    Key { name: "tokens", doc: "", shape: Shape::Unbuilt },
];

/// `[budget]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// Calls.
    pub calls: Option<Written<Amount>>,
}

impl Budget {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.calls, over.calls);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Budget {
    let fields = reader.fields(node, KEYS);
    let calls = fields.as_ref().and_then(|fields| fields.get("calls"));
    Budget { calls: calls.and_then(|node| reader.quantity(node, quantity::count)) }
}
