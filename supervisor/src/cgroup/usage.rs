//! What a sandbox used, from the kernel's own accounts.

use super::dir::Dir;
use super::group::Member;
use sandboxd_profiles::host::Controller;
use serde::Serialize;

/// What a whole sandbox used. `None` where this host keeps no such account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Most memory at one time, in bytes, page cache and tmpfs included.
    pub memory_peak: Option<u64>,
    /// CPU time in microseconds, user and system, of every process that was in the group.
    pub cpu_us: Option<u64>,
    /// How long the sandbox was held back by its CPU limit, in microseconds.
    pub throttled_us: Option<u64>,
    /// Most processes and threads at one time, init counted.
    pub processes_peak: Option<u64>,
    /// How often a process could not be made because of the limit.
    pub processes_refused: Option<u64>,
    /// Processes that the kernel ended for want of memory; 0 tells that none was. Where all of a
    /// group is ended at once (v2) the kernel counts the first of them twice.
    pub oom_kills: Option<u64>,
    /// How often all of the group was ended at once for want of memory (kernel 5.17).
    pub oom_group_kills: Option<u64>,
    /// Bytes read from disks, where the kernel had to ask them.
    pub io_read: Option<u64>,
    /// Bytes written to disks. What was written and not yet put on the disk is not counted.
    pub io_written: Option<u64>,
    /// How long its processes were held up for want of something (PSI, kernel 5.2).
    pub pressure: Pressures,
}

/// How long processes were held up, by what for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pressures {
    /// CPUs, the own limit included.
    pub cpu: Option<Pressure>,
    /// Memory.
    pub memory: Option<Pressure>,
    /// Disks.
    pub io: Option<Pressure>,
}

/// Microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pressure {
    /// During which at least one process was held up.
    pub some_us: u64,
    /// During which all were; nothing where the kernel does not tell.
    pub full_us: Option<u64>,
}

/// From the one directory of a v2 group.
pub(crate) fn of_v2(dir: &Dir) -> Usage {
    let cpu = dir.read("cpu.stat").ok();
    Usage {
        memory_peak: number(dir, "memory.peak"),
        cpu_us: cpu.as_deref().and_then(|text| keyed(text, "usage_usec")),
        throttled_us: cpu.as_deref().and_then(|text| keyed(text, "throttled_usec")),
        processes_peak: number(dir, "pids.peak"),
        processes_refused: entry(dir, "pids.events", "max"),
        oom_kills: entry(dir, "memory.events", "oom_kill"),
        oom_group_kills: entry(dir, "memory.events", "oom_group_kill"),
        io_read: sum(dir, "io.stat", "rbytes="),
        io_written: sum(dir, "io.stat", "wbytes="),
        pressure: pressures(dir),
    }
}

fn pressures(dir: &Dir) -> Pressures {
    let read = |name| pressure(&dir.read(name).ok()?);
    Pressures {
        cpu: read("cpu.pressure"),
        memory: read("memory.pressure"),
        io: read("io.pressure"),
    }
}

/// The totals of a pressure file, the kernel's `psi.rst`.
fn pressure(text: &str) -> Option<Pressure> {
    let total = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        line.split(' ').find_map(|word| word.strip_prefix("total="))?.parse().ok()
    };
    Some(Pressure { some_us: total("some ")?, full_us: total("full ") })
}

/// Of all disks: the numbers behind `key` in a file of lines of `disk key=number …`.
fn sum(dir: &Dir, name: &str, key: &str) -> Option<u64> {
    let text = dir.read(name).ok()?;
    Some(
        text.split_whitespace()
            .filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
            .sum(),
    )
}

/// The same of v1, in a file of lines of `disk Key number`.
fn sum_of_lines(dir: &Dir, key: &str) -> Option<u64> {
    let text = dir.read("blkio.throttle.io_service_bytes").ok()?;
    let number = |line: &str| {
        let mut words = line.split(' ').skip(1);
        if words.next()? == key { words.next()?.parse::<u64>().ok() } else { None }
    };
    Some(text.lines().filter_map(number).sum())
}

/// From the directories of a v1 group, and of the unified one beside them.
pub(crate) fn of_v1(unified: Option<&Dir>, v1: &[Member]) -> Usage {
    let at = |wanted| v1.iter().find(|one| one.controllers.contains(&wanted)).map(|one| &one.dir);
    let (memory, pids, cpu) = (at(Controller::Memory), at(Controller::Pids), at(Controller::Cpu));
    let io = at(Controller::Io);
    // The unified directory counts those cloned into it; cpuacct, where it shares the cpu
    // hierarchy, those that joined that.
    let cpu_us = unified
        .and_then(|dir| entry(dir, "cpu.stat", "usage_usec"))
        .filter(|used| *used > 0)
        .or_else(|| cpu.and_then(|dir| number(dir, "cpuacct.usage")).map(|ns| ns / 1000));
    Usage {
        memory_peak: memory.and_then(|dir| number(dir, "memory.max_usage_in_bytes")),
        cpu_us,
        throttled_us: cpu
            .and_then(|dir| entry(dir, "cpu.stat", "throttled_time"))
            .map(|ns| ns / 1000),
        processes_peak: pids.and_then(|dir| number(dir, "pids.peak")),
        processes_refused: pids.and_then(|dir| entry(dir, "pids.events", "max")),
        oom_kills: memory.and_then(|dir| entry(dir, "memory.oom_control", "oom_kill")),
        // v1 ends one at a time.
        oom_group_kills: None,
        io_read: io.and_then(|dir| sum_of_lines(dir, "Read")),
        io_written: io.and_then(|dir| sum_of_lines(dir, "Write")),
        pressure: unified.map(pressures).unwrap_or_default(),
    }
}

fn number(dir: &Dir, name: &str) -> Option<u64> {
    dir.read(name).ok()?.trim().parse().ok()
}

fn entry(dir: &Dir, name: &str, key: &str) -> Option<u64> {
    keyed(&dir.read(name).ok()?, key)
}

/// The number beside `key` in a file of `key number` lines.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_whole_and_never_by_its_beginning() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed(text, "oom_kill"), Some(3));
        assert_eq!(keyed(text, "oom"), None);
        assert_eq!(keyed("max x", "max"), None);
    }

    #[test]
    fn of_pressure_the_totals_are_taken_and_full_may_be_missing() {
        let some = "some avg10=0.00 avg60=0.00 avg300=0.00 total=317\n";
        let full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";
        let both = pressure(&format!("{some}{full}"));
        assert_eq!(both, Some(Pressure { some_us: 317, full_us: Some(12) }));
        assert_eq!(pressure(some), Some(Pressure { some_us: 317, full_us: None }));
        assert_eq!(pressure(""), None);
    }
}
