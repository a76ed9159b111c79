//! Limits as files of v1 hierarchies, cgroups(7), and the end of a group that has no `cgroup.kill`.

use super::dir::Dir;
use super::{CgroupError, v2};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sandboxd_profiles::host::Controller;
use sandboxd_profiles::resolved::CgroupLimits;

/// Writes the limits of one controller into its directory and reads each back.
pub(crate) fn limit(
    dir: &Dir,
    controller: Controller,
    limits: &CgroupLimits,
) -> Result<(), CgroupError> {
    match controller {
        Controller::Memory => memory(dir, limits),
        Controller::Pids => match limits.processes {
            None => Ok(()),
            Some(processes) => v2::set_processes(dir, processes),
        },
        Controller::Cpu => cpu(dir, limits),
        Controller::Io => io(dir, limits),
    }
}

fn cpu(dir: &Dir, limits: &CgroupLimits) -> Result<(), CgroupError> {
    let mut values = Vec::new();
    if let Some(milli) = limits.cpu_milli {
        let (quota, period) = v2::bandwidth(milli);
        // The period first: a quota is only judged against the period it finds.
        values.extend([("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota)]);
    }
    if let Some(weight) = limits.cpu_weight {
        // 1024 shares are what v2 calls a weight of 100.
        values.push(("cpu.shares", (weight * 1024 / 100).max(2)));
    }
    for (name, value) in values {
        let value = value.to_string();
        dir.set(name, &value, |now| now == value)?;
    }
    Ok(())
}

fn io(dir: &Dir, limits: &CgroupLimits) -> Result<(), CgroupError> {
    for limit in &limits.io {
        for (name, rate) in [
            ("blkio.throttle.read_bps_device", limit.read),
            ("blkio.throttle.write_bps_device", limit.write),
        ] {
            let Some(rate) = rate else { continue };
            let line = format!("{}:{} {rate}", limit.disk.major, limit.disk.minor);
            dir.set(name, &line, |now| now.lines().any(|held| held == line))?;
        }
    }
    Ok(())
}

fn memory(dir: &Dir, limits: &CgroupLimits) -> Result<(), CgroupError> {
    const SWAP: &str = "memory.memsw.limit_in_bytes";
    if let Some(memory) = limits.memory {
        v2::set_bytes(dir, "memory.limit_in_bytes", memory)?;
        // What lies in the buffers of TCP is counted by itself here.
        v2::set_bytes(dir, "memory.kmem.tcp.limit_in_bytes", memory)?;
    }
    let Some(swap) = limits.swap else { return Ok(()) };
    if !dir.has(SWAP) {
        return v2::without_swap_accounting(dir, SWAP);
    }
    match limits.memory {
        // v1 counts memory and swap together, so the sum is the limit. It is set last because it
        // may never be below that of memory alone.
        Some(memory) => v2::set_bytes(dir, SWAP, memory.saturating_add(swap)),
        None => v2::without_swap(|| {
            CgroupError::found(
                "limit",
                format!("{}/{SWAP} = {swap}", dir.label()),
                "cgroup v1 can limit swap only together with memory: set [limits].memory, or make swap \"unlimited\"",
            )
        }),
    }
}

/// Ends every process listed in a directory, once. Says whether any was listed.
///
/// A pid is turned into a pidfd and signalled only if it is listed again after that: either the
/// pidfd is the listed process, or that number passed from a stranger, who is dead by then, to a
/// process of the group. No stranger is ever signalled, and no freezer is needed.
pub(crate) fn kill_listed(dir: &Dir) -> Result<bool, CgroupError> {
    let listed = dir.processes()?;
    let mut held = Vec::with_capacity(listed.len());
    for number in &listed {
        // 0 is a process of another PID namespace; its own init ends it.
        let Some(pid) = Pid::from_raw(*number) else { continue };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => held.push((*number, pidfd)),
            Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(CgroupError::refused("pidfd_open", number.to_string(), errno));
            }
        }
    }
    let still = dir.processes()?;
    for (number, pidfd) in held {
        if !still.contains(&number) {
            continue;
        }
        match pidfd_send_signal(pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(CgroupError::refused("pidfd_send_signal", number.to_string(), errno));
            }
        }
    }
    Ok(!still.is_empty())
}
