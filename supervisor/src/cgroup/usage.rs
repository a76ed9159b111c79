//! What a sandbox used, from the kernel's own accounts.

use super::dir::Dir;
use super::group::Member;
use sandboxd_profiles::host::Controller;

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
    }
}

/// From the directories of a v1 group, and of the unified one beside them.
pub(crate) fn of_v1(unified: Option<&Dir>, v1: &[Member]) -> Usage {
    let at = |wanted| v1.iter().find(|one| one.controllers.contains(&wanted)).map(|one| &one.dir);
    let (memory, pids, cpu) = (at(Controller::Memory), at(Controller::Pids), at(Controller::Cpu));
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
}
