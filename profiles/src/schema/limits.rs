//! `[limits]`: limits of resources.

use super::{Key, Shape};
use crate::origin::{Written, replace};
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};

/// The keys of `[limits]`.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "memory",
        doc: "memory of all processes together; default 512M",
        shape: Shape::Size,
    },
    Key {
        name: "memory_high",
        doc: "memory above which the kernel reclaims and throttles the command; default unlimited",
        shape: Shape::Size,
    },
    Key { name: "swap", doc: "swap beyond memory; default 0", shape: Shape::Size },
    Key { name: "cpus", doc: "CPUs at a time; default 1.0", shape: Shape::Cpus },
    Key {
        name: "cpu_weight",
        doc: "share of busy CPUs relative to others, 1 to 10000; default 100",
        shape: Shape::Weight,
    },
    Key {
        name: "io_read",
        doc: "bytes per second read from each disk that holds a granted tree; default unlimited",
        shape: Shape::Rate,
    },
    Key {
        name: "io_write",
        doc: "bytes per second written to each disk that holds a granted tree; default unlimited",
        shape: Shape::Rate,
    },
    Key { name: "processes", doc: "processes and threads; default 128", shape: Shape::Count },
    Key {
        name: "open_files",
        doc: "open descriptors of one process; default 1024",
        shape: Shape::Count,
    },
    Key { name: "file_size", doc: "size of one file; default 1G", shape: Shape::Size },
    Key { name: "wall_time", doc: "elapsed time; default 10m", shape: Shape::Time },
    Key {
        name: "cpu_time",
        doc: "CPU time of all processes together; default unlimited",
        shape: Shape::Time,
    },
    Key {
        name: "output",
        doc: "size of standard output and error, if they are files; default 64M",
        shape: Shape::Size,
    },
];

/// `[limits]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<Written<Amount>>,
    /// Bytes.
    pub memory_high: Option<Written<Amount>>,
    /// Bytes beyond memory.
    pub swap: Option<Written<Amount>>,
    /// Thousandths of a CPU.
    pub cpus: Option<Written<Amount>>,
    /// 1 to 10000.
    pub cpu_weight: Option<Written<Amount>>,
    /// Bytes per second.
    pub io_read: Option<Written<Amount>>,
    /// Bytes per second.
    pub io_write: Option<Written<Amount>>,
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
        replace(&mut self.memory_high, over.memory_high);
        replace(&mut self.swap, over.swap);
        replace(&mut self.cpus, over.cpus);
        replace(&mut self.cpu_weight, over.cpu_weight);
        replace(&mut self.io_read, over.io_read);
        replace(&mut self.io_write, over.io_write);
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
            "memory_high" => {
                limits.memory_high = least(reader, node, quantity::size, 1 << 20, "1M");
            }
            "swap" => limits.swap = reader.quantity(node, quantity::size),
            "cpus" => limits.cpus = least(reader, node, quantity::cpus, 10, "0.01"),
            "cpu_weight" => limits.cpu_weight = weight(reader, node),
            "io_read" => limits.io_read = least(reader, node, quantity::rate, 4096, "4K/s"),
            "io_write" => limits.io_write = least(reader, node, quantity::rate, 4096, "4K/s"),
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

fn weight<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<Amount>> {
    let weight = reader.quantity(node, quantity::count)?;
    if !weight.value.limit().is_some_and(|weight| (1..=10_000).contains(&weight)) {
        reader.refuse(node, "not a number from 1 to 10000", "write 1 to 10000; 100 is the default");
        return None;
    }
    Some(weight)
}

/// A limit with a minimum, below which the command could not start.
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
