//! The numbers of `[call.NAME]`, and the most that each may be.

use crate::origin::Written;
use crate::quantity::{self, Amount};
use crate::reader::{Node, Reader};

/// The longest that a call may be told to take.
const LONGEST: u64 = 600_000;

/// The longest that a call may wait for a person.
const LONGEST_WAIT: u64 = 3_600_000;

pub(super) fn deadline<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<u64>> {
    time(reader, node, (LONGEST, "longer than a call may take", "write at most \"10m\""))
}

pub(super) fn approval_within<'d>(
    reader: &mut Reader<'d>,
    node: &Node<'d>,
) -> Option<Written<u64>> {
    time(reader, node, (LONGEST_WAIT, "longer than a call may wait", "write at most \"1h\""))
}

/// A time, and the longest that it may be; what is wrong with a longer one, and the remedy.
fn time<'d>(
    reader: &mut Reader<'d>,
    node: &Node<'d>,
    (most, what, remedy): (u64, &str, &str),
) -> Option<Written<u64>> {
    let time = reader.quantity(node, quantity::time)?;
    match time.value {
        Amount::Limited(ms) if ms <= most => Some(time.map(|_| ms)),
        Amount::Limited(_) | Amount::Unlimited => {
            reader.refuse(node, what, remedy);
            None
        }
    }
}

/// The shortest and the longest that an edge may be for, where it says so: a second, and a year.
const BRIEFEST: u64 = 1000;
const LONGEST_LIFE: u64 = 366 * 24 * 3_600_000;

pub(super) fn expires<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<u64>> {
    let remedy = "remove it: without it, calls are allowed as long as the run lasts";
    let time = time(reader, node, (LONGEST_LIFE, "longer than a year", remedy))?;
    if time.value < BRIEFEST {
        let remedy = "write at least \"1s\", or remove the call";
        reader.refuse(node, "ends before anything could be called", remedy);
        return None;
    }
    Some(time)
}

/// The most bytes of a message: it is held in memory.
const LARGEST: u64 = 64 << 20;

pub(super) fn bytes<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<u64>> {
    let size = reader.quantity(node, quantity::size)?;
    match size.value {
        Amount::Limited(bytes) if bytes <= LARGEST => Some(size.map(|_| bytes)),
        Amount::Limited(_) | Amount::Unlimited => {
            let remedy = "write at most \"64M\": a message is held in memory";
            reader.refuse(node, "larger than a message may be", remedy);
            None
        }
    }
}

/// The most instances that are kept ready for one caller along one edge: each takes as much as one that runs,
/// but for what its command would do.
const MOST_READY: u64 = 16;

pub(super) fn ready<'d>(reader: &mut Reader<'d>, node: &Node<'d>) -> Option<Written<u64>> {
    let count = reader.quantity(node, quantity::count)?;
    match count.value {
        Amount::Limited(ready) if ready <= MOST_READY => Some(count.map(|_| ready)),
        Amount::Limited(_) | Amount::Unlimited => {
            let remedy = "write at most 16: each takes two processes and a uid";
            reader.refuse(node, "more than may be kept ready", remedy);
            None
        }
    }
}
