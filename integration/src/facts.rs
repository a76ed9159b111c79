//! What this host offers to the cases, for whoever holds it against what was expected of it.

use crate::raw;
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use serde::Serialize;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{fs, io};

/// Seen by the harness itself; the product is not asked.
#[derive(Debug, Serialize)]
struct Facts {
    /// `uname -r`.
    release: String,
    /// The ABI; 0 where there is no Landlock or it is off.
    landlock: i64,
    /// `v2`, `v1`, `hybrid` or `none`.
    cgroups: &'static str,
    /// Those of the unified hierarchy.
    controllers: Vec<String>,
    /// Whether `vm.memfd_noexec` exists.
    memfd_noexec: bool,
    /// Whether a signal can be sent to the group of a process by its pidfd.
    pidfd_process_group: bool,
    /// Security modules that are on.
    modules: Vec<String>,
    /// The major version; 0 where systemd is not what booted.
    systemd: u32,
}

pub(crate) fn play() -> Result<ExitCode> {
    let facts = Facts {
        release: read("/proc/sys/kernel/osrelease")?,
        landlock: raw::landlock_abi().unwrap_or(0),
        cgroups: cgroups(),
        controllers: words(&read("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default(), ' '),
        memfd_noexec: Path::new("/proc/sys/vm/memfd_noexec").exists(),
        pidfd_process_group: pidfd_process_group(),
        modules: words(&read("/sys/kernel/security/lsm").unwrap_or_default(), ','),
        systemd: systemd(),
    };
    println!("{}", serde_json::to_string(&facts)?);
    Ok(ExitCode::SUCCESS)
}

/// Asks with signal 0, which is sent to nobody. A kernel that does not know the flag calls it invalid;
/// one that does may find no group of this number.
fn pidfd_process_group() -> bool {
    const PROCESS_GROUP: u64 = 1 << 2;
    let own = u64::from(std::process::id());
    let Ok(pidfd) = raw::call_numbers(libc::SYS_pidfd_open, &[own]) else { return false };
    let pidfd = pidfd.cast_unsigned();
    let asked = raw::call_numbers(libc::SYS_pidfd_send_signal, &[pidfd, 0, 0, PROCESS_GROUP]);
    asked != Err(Errno::EINVAL)
}

/// Whether this kernel is at least `major.minor`.
///
/// # Errors
/// Where the release does not begin with two numbers.
pub fn kernel_is_since(major: u32, minor: u32) -> Result<bool> {
    let release = read("/proc/sys/kernel/osrelease")?;
    let mut parts = release.split(['.', '-']);
    let mut number = || anyhow::Ok(parts.next().context("a release")?.parse::<u32>()?);
    Ok((number()?, number()?) >= (major, minor))
}

/// Whether sandboxd can be asked about what its filters refuse, decided as it does itself: no filter is on
/// around it, and the kernel is 5.19 or newer.
///
/// # Errors
/// Where the kernel does not say.
pub fn refusals_can_be_asked_about() -> Result<bool> {
    let status = read("/proc/self/status")?;
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    Ok(mode.context("no mode of seccomp")?.trim() == "0" && kernel_is_since(5, 19)?)
}

fn read(path: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

fn words(text: &str, between: char) -> Vec<String> {
    text.split(between).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn cgroups() -> &'static str {
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let v1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
    let beside = Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists();
    match (v2, v1, beside) {
        (true, _, _) => "v2",
        (false, true, true) => "hybrid",
        (false, true, false) => "v1",
        (false, false, _) => "none",
    }
}

fn systemd() -> u32 {
    if !Path::new("/run/systemd/system").exists() {
        return 0;
    }
    // `systemd 252 (252.39-1~deb12u1)` and more.
    let Ok(output) = Command::new("systemctl").arg("--version").output() else { return 0 };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split_whitespace().nth(1).and_then(|version| version.parse().ok()).unwrap_or(0)
}
