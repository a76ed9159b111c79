//! `[limits]`: how much may be used.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};

/// The keys of `[limits]`.
pub(crate) const KEYS: &[Key] = &[
    Key { name: "memory", doc: "default 512M", shape: Shape::Size },
    Key { name: "swap", doc: "default 0", shape: Shape::Size },
    Key { name: "cpus", doc: "default 1.0", shape: Shape::Cpus },
    Key { name: "processes", doc: "processes and threads; default 128", shape: Shape::Count },
    Key { name: "open_files", doc: "of one process; default 1024", shape: Shape::Count },
    Key { name: "file_size", doc: "default 1G", shape: Shape::Size },
    Key { name: "wall_time", doc: "default 10m", shape: Shape::Time },
    Key { name: "cpu_time", doc: "default unlimited", shape: Shape::Time },
    Key {
        name: "output",
        doc: "stdout and stderr, where captured; default 64M",
        shape: Shape::Size,
    },
];

/// `[limits]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<Written<Amount>>,
    /// Bytes beyond memory.
    pub swap: Option<Written<Amount>>,
    /// Thousandths of a CPU.
    pub cpus: Option<Written<Amount>>,
    /// Processes and threads.
    pub processes: Option<Written<Amount>>,
    /// Descriptors of one process.
    pub open_files: Option<Written<Amount>>,
    /// Bytes of one file.
    pub file_size: Option<Written<Amount>>,
    /// Milliseconds.
    pub wall_time: Option<Written<Amount>>,
    /// Milliseconds of all processes together.
    pub cpu_time: Option<Written<Amount>>,
    /// Bytes of standard output and error.
    pub output: Option<Written<Amount>>,
}

impl Limits {
    pub(crate) fn lay(&mut self, over: Self) {
        replace(&mut self.memory, over.memory);
        replace(&mut self.swap, over.swap);
        replace(&mut self.cpus, over.cpus);
        replace(&mut self.processes, over.processes);
        replace(&mut self.open_files, over.open_files);
        replace(&mut self.file_size, over.file_size);
        replace(&mut self.wall_time, over.wall_time);
        replace(&mut self.cpu_time, over.cpu_time);
        replace(&mut self.output, over.output);
    }
}

pub(crate) fn read<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Limits {
    let mut limits = Limits::default();
    let Some(fields) = reader.fields(node, KEYS) else {
        return limits;
    };
    for node in fields.all() {
        match node.name() {
            "memory" => limits.memory = least(reader, node, quantity::size, 1 << 20, "1M"),
            "swap" => limits.swap = reader.quantity(node, quantity::size),
            "cpus" => limits.cpus = least(reader, node, quantity::cpus, 10, "0.01"),
            "processes" => limits.processes = least(reader, node, quantity::count, 1, "1"),
            "open_files" => limits.open_files = least(reader, node, quantity::count, 8, "8"),
            "file_size" => limits.file_size = reader.quantity(node, quantity::size),
            "wall_time" => limits.wall_time = least(reader, node, quantity::time, 1, "1ms"),
            "cpu_time" => limits.cpu_time = least(reader, node, quantity::time, 1, "1ms"),
            _ => limits.output = reader.quantity(node, quantity::size),
        }
    }
    limits
}

/// A limit without which not even the command could start.
fn least<'d>(
    reader: &mut Reader<'d>,
    node: &Node<'d>,
    read: fn(quantity::Raw<'_>) -> Result<Amount, quantity::Refusal>,
    least: u64,
    shown: &str,
) -> Option<Written<Amount>> {
    let amount = reader.quantity(node, read)?;
    if amount.value.limit().is_some_and(|limit| limit < least) {
        reader.refuse(
            node,
            "leaves no room for the command itself",
            format!("write at least {shown}"),
        );
        return None;
    }
    Some(amount)
}
