//! Limits as files of the v2 hierarchy, cgroups(7) and the kernel's `cgroup-v2.rst`; and the forms
//! that v1 shares.

use super::CgroupError;
use super::dir::Dir;
use super::tree::CONTROLLERS;
use rustix::fs::OFlags;
use sandboxd_profiles::host::Controller;
use sandboxd_profiles::resolved::{CgroupLimits, IoLimit};

/// The controllers a limit set needs.
pub(crate) fn needed(limits: &CgroupLimits) -> Vec<Controller> {
    let mut needed = Vec::new();
    if limits.memory.is_some() || limits.swap.is_some() {
        needed.push(Controller::Memory);
    }
    if limits.processes.is_some() {
        needed.push(Controller::Pids);
    }
    if limits.cpu_milli.is_some() || limits.cpu_weight.is_some() {
        needed.push(Controller::Cpu);
    }
    if !limits.io.is_empty() {
        needed.push(Controller::Io);
    }
    needed
}

/// Writes every limit into a group's directory and reads each back.
pub(crate) fn limit(
    dir: &Dir,
    enabled: &[Controller],
    limits: &CgroupLimits,
) -> Result<(), CgroupError> {
    if let Some(memory) = limits.memory {
        set_bytes(dir, "memory.max", memory)?;
    }
    if let Some(high) = limits.memory_high {
        set_bytes(dir, "memory.high", high)?;
    }
    if let Some(swap) = limits.swap {
        if dir.has("memory.swap.max") {
            set_bytes(dir, "memory.swap.max", swap)?;
        } else {
            without_swap_accounting(dir, "memory.swap.max")?;
        }
    }
    if enabled.contains(&Controller::Memory) {
        // A sandbox with one process missing is no sandbox anybody asked for: all or none.
        dir.set("memory.oom.group", "1", |now| now == "1")?;
    }
    if let Some(processes) = limits.processes {
        set_processes(dir, processes)?;
    }
    if let Some(milli) = limits.cpu_milli {
        let (quota, period) = bandwidth(milli);
        let value = format!("{quota} {period}");
        dir.set("cpu.max", &value, |now| now == value)?;
    }
    if let Some(weight) = limits.cpu_weight {
        let value = weight.to_string();
        dir.set("cpu.weight", &value, |now| now == value)?;
    }
    for limit in &limits.io {
        set_io(dir, *limit)?;
    }
    Ok(())
}

/// `io.max`, a line for each disk.
fn set_io(dir: &Dir, limit: IoLimit) -> Result<(), CgroupError> {
    let word = |rate: Option<u64>| rate.map_or(String::from("max"), |rate| rate.to_string());
    let disk = format!("{}:{} ", limit.disk.major, limit.disk.minor);
    let rates = [format!("rbps={}", word(limit.read)), format!("wbps={}", word(limit.write))];
    dir.set("io.max", &format!("{disk}{}", rates.join(" ")), |now| {
        let line = now.lines().find_map(|line| line.strip_prefix(&disk));
        rates.iter().all(|rate| line.is_some_and(|line| line.split(' ').any(|word| word == rate)))
    })
}

/// No groups below a sandbox's own: nobody in it makes any.
pub(crate) fn forbid_groups_below(dir: &Dir) -> Result<(), CgroupError> {
    dir.set("cgroup.max.descendants", "0", |now| now == "0")
}

/// A page of x86-64, in bytes. Asking for it would be a read of the auxiliary vector: from a file, before
/// Linux 6.4.
const PAGE: u64 = 4096;

/// A limit in bytes. The kernel counts pages and rounds down to them.
pub(crate) fn set_bytes(dir: &Dir, name: &str, bytes: u64) -> Result<(), CgroupError> {
    let held = bytes - bytes % PAGE;
    dir.set(name, &bytes.to_string(), |now| now.parse() == Ok(held))
}

/// `pids.max`: the plan's number does not count init, the kernel's does.
pub(crate) fn set_processes(dir: &Dir, processes: u64) -> Result<(), CgroupError> {
    let value = processes.saturating_add(1).to_string();
    dir.set("pids.max", &value, |now| now == value)
}

/// Microseconds of CPU time per period, and the period. The kernel takes no quota below 1 ms, so
/// shares below a hundredth of a CPU get the longest period it takes, a second.
pub(crate) fn bandwidth(milli: u64) -> (u64, u64) {
    let period: u64 = if milli < 10 { 1_000_000 } else { 100_000 };
    (milli.saturating_mul(period / 1000), period)
}

/// A host that keeps no account of swap can only promise a limit if it has none.
pub(crate) fn without_swap_accounting(dir: &Dir, name: &str) -> Result<(), CgroupError> {
    without_swap(|| {
        CgroupError::found(
            "limit",
            format!("{}/{name}", dir.label()),
            "this kernel does not account for swap: boot with swapaccount=1, turn swap off, or make swap \"unlimited\"",
        )
    })
}

/// Fine where `/proc/swaps` lists nothing.
pub(crate) fn without_swap(error: impl FnOnce() -> CgroupError) -> Result<(), CgroupError> {
    match std::fs::read_to_string("/proc/swaps") {
        Ok(swaps) if swaps.lines().count() <= 1 => Ok(()),
        // A kernel without CONFIG_SWAP has no such file.
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(error()),
    }
}

/// The controllers named in `cgroup.controllers` or `cgroup.subtree_control`.
pub(crate) fn listed(dir: &Dir, name: &str) -> Result<Vec<Controller>, CgroupError> {
    let text = dir.read(name)?;
    Ok(CONTROLLERS
        .into_iter()
        .filter(|controller| text.split_whitespace().any(|word| word == controller.name()))
        .collect())
}

/// Turns controllers on for the children of a directory.
pub(crate) fn enable(dir: &Dir, wanted: &[Controller]) -> Result<(), CgroupError> {
    const NAME: &str = "cgroup.subtree_control";
    let have = listed(dir, NAME)?;
    let words: Vec<String> = wanted
        .iter()
        .filter(|controller| !have.contains(controller))
        .map(|controller| format!("+{}", controller.name()))
        .collect();
    if words.is_empty() {
        return Ok(());
    }
    dir.set(NAME, &words.join(" "), |now| {
        wanted.iter().all(|wanted| now.split_whitespace().any(|word| word == wanted.name()))
    })
}

/// Whether any process is in the group or below it.
pub(crate) fn populated(dir: &Dir) -> Result<bool, CgroupError> {
    Ok(super::usage::keyed(&dir.read("cgroup.events")?, "populated") != Some(0))
}

/// `cgroup.kill`: ends everything in the group and below, however fast it forks.
pub(crate) fn kill(dir: &Dir) -> Result<(), CgroupError> {
    dir.write("cgroup.kill", "1")
}

/// Whether there is a `cgroup.kill` to write, kernel 5.14.
pub(crate) fn can_kill(dir: &Dir) -> bool {
    dir.file("cgroup.kill", OFlags::WRONLY).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_cpu_is_never_a_quota_the_kernel_refuses() {
        assert_eq!(bandwidth(1000), (100_000, 100_000));
        assert_eq!(bandwidth(2500), (250_000, 100_000));
        assert_eq!(bandwidth(10), (1000, 100_000));
        assert_eq!(bandwidth(9), (9000, 1_000_000));
        assert_eq!(bandwidth(1), (1000, 1_000_000));
    }

    #[test]
    fn only_what_is_limited_is_needed() {
        let mut limits = CgroupLimits::default();
        assert!(needed(&limits).is_empty());
        limits.swap = Some(0);
        limits.cpu_milli = Some(1);
        assert_eq!(needed(&limits), [Controller::Memory, Controller::Cpu]);
    }
}
