//! `[syscalls]`: which system calls are allowed.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::reader::{Node, Reader};

/// The keys of `[syscalls]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "base",
        doc: "named set of allowed calls: default, strict, build or network-server; default: \"default\"",
        shape: Shape::Text,
    },
    Key { name: "allow", doc: "additional calls, or groups as @group", shape: Shape::Texts },
    Key { name: "deny", doc: "calls of the base to refuse", shape: Shape::Texts },
    Key {
        name: "fileless_exec",
        doc: "allow executing programs from memory (vm.memfd_noexec); default: false",
        shape: Shape::Boolean,
    },
];

/// `[syscalls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Syscalls {
    /// A named set of calls.
    pub base: Option<Written<String>>,
    /// Additional calls and groups.
    pub allow: Vec<Written<String>>,
    /// Calls to refuse.
    pub deny: Vec<Written<String>>,
    /// Whether programs may be executed from memory.
    pub fileless_exec: Option<Written<bool>>,
}

impl Syscalls {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.base, over.base);
        self.allow.extend(over.allow);
        self.deny.extend(over.deny);
        replace(&mut self.fileless_exec, over.fileless_exec);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Syscalls {
    let mut syscalls = Syscalls::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return syscalls;
    };
    for node in fields.all() {
        match node.name() {
            "base" => syscalls.base = reader.text(node),
            "allow" => syscalls.allow = reader.list(node, Reader::text),
            "deny" => syscalls.deny = reader.list(node, Reader::text),
            _ => syscalls.fileless_exec = reader.boolean(node),
        }
    }
    syscalls
}
