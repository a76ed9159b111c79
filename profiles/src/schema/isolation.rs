//! `isolation`: what keeps a sandbox apart from its host. A word of the operator's, never a fallback.

use crate::origin::Written;
use crate::reader::{Node, Reader};

/// What keeps a sandbox apart from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces, with a view of its own; and behind them Landlock and the filter.
    Namespaces,
    /// Landlock and the filter alone: no namespace, no view of its own. For inside a container that
    /// allows none.
    Landlock,
}

impl Isolation {
    /// Its word in a profile.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
        }
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Isolation>> {
    let words = [Isolation::Namespaces, Isolation::Landlock].map(|word| (word.name(), word));
    reader.word(node, &words)
}
