//! `isolation`: what separates a sandbox from its host. Chosen by the operator, never a fallback.

use crate::origin::Written;
use crate::reader::{Node, Reader};

/// What separates a sandbox from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces, with its own mount view; and in addition Landlock and the filter.
    Namespaces,
    /// Landlock and the filter only: no namespaces, no mount view. For use inside a container that
    /// forbids namespaces.
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
