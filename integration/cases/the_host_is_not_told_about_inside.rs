//! What the command can read tells of the sandbox and not of the host: its name, its users, its
//! cgroups, its folders beyond the granted ones, how busy it is, what its kernel logs.
//!
//! `/proc/sys/kernel/random/boot_id` is the host's: it changes with every boot and names nobody.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, raw};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["I02", "I03", "I04", "I05", "I06", "I08", "I09"],
    outside,
    probes: &[("look", look)],
    by: By::Anybody,
    ..Case::NEW
};

/// What tells about the host's devices, addresses, timing and load. Empty, or not there.
const SILENT: &[&str] = &[
    "/proc/kcore",
    "/proc/kallsyms",
    "/proc/kmsg",
    "/proc/keys",
    "/proc/interrupts",
    "/proc/cmdline",
    "/proc/locks",
    "/proc/softirqs",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    "/proc/config.gz",
    "/proc/modules",
    "/proc/partitions",
    "/proc/diskstats",
    "/proc/swaps",
    "/proc/consoles",
    "/proc/bus/pci/devices",
    "/proc/bus/input/devices",
    "/proc/fs/jbd2",
    "/proc/irq/default_smp_affinity",
    "/proc/scsi/scsi",
    "/proc/acpi/wakeup",
    "/proc/driver/rtc",
    "/proc/sysrq-trigger",
    "/sys/kernel/debug",
    "/sys/kernel/notes",
    "/sys/fs/cgroup/cgroup.controllers",
    "/sys/fs/cgroup/memory/tasks",
    "/var/log/dpkg.log",
    "/root/.bashrc",
];

fn outside(outside: &Outside) -> Result<()> {
    // A folder whose name nobody inside has to know, beside and above what is granted.
    let ws = outside.file("private-name/granted/file", "x")?;
    let granted = ws.parent().context("no folder")?;
    let profile = format!(
        "extends = [\"builtin:base\"]\n[[files.bind]]\nfrom = {granted:?}\nto = \"/work\"\n\
         access = \"write\"\n"
    );
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
    let run = outside.sandbox(&profile).probe("look", &[]).run()?;
    run.ran()?.allowed("/work/file")?;
    for line in run.fact("cgroup")?.lines() {
        ensure!(line.ends_with(":/"), "the cgroup's place on the host: {line}");
    }
    for name in ["uname", "/etc/hostname"] {
        ensure!(run.fact(name)? == "sandbox" && host != "sandbox", "{name}: {}", run.fact(name)?);
    }
    run.refused("/etc/machine-id", &[Errno::ENOENT])?;
    run.refused("/etc/shadow", &[Errno::ENOENT])?;
    users_are_made_up(run.fact("/etc/passwd")?, &["root", "agent", "nobody"])?;
    users_are_made_up(run.fact("/etc/group")?, &["root", "agent", "nogroup", "tty", "nobody"])?;
    mounts_name_what_is_granted(run.fact("mountinfo")?)?;
    for path in SILENT {
        let met = run.errno(path)?;
        ensure!(met != 0 || run.fact(path)? == "0", "{path} can be read");
    }
    run.refused("kernel log", &[Errno::EPERM])?;
    run.refused("/dev/kmsg", &[Errno::ENOENT])?;
    let modules = run.fact("addresses")?;
    ensure!(modules.is_empty(), "addresses of the kernel: {modules}");
    Ok(())
}

fn users_are_made_up(file: &str, known: &[&str]) -> Result<()> {
    ensure!(file.contains("agent:"), "the own user is not there: {file}");
    for line in file.lines() {
        let name = line.split(':').next().unwrap_or_default();
        ensure!(known.contains(&name), "somebody of the host: {line}");
    }
    Ok(())
}

/// The root field tells where on its file system a mount comes from. That is the granted folder's
/// own path, which the kernel shows to whoever has the mount; no other folder's name is in it.
fn mounts_name_what_is_granted(mountinfo: &str) -> Result<()> {
    for line in mountinfo.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, _, _, root, place, ..] = fields.as_slice() else { continue };
        let private = root.contains("private-name") || place.contains("private-name");
        ensure!(!private || *place == "/work", "a mount tells more than it must: {line}");
        ensure!(!place.starts_with("/sys"), "the host's /sys: {line}");
        let homes = ["/home", "/root", "/run", "/var"];
        ensure!(!homes.iter().any(|home| root.starts_with(home)), "a folder of the host: {line}");
    }
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    inside.attempt("/work/file", fs::read("/work/file"));
    inside.fact("cgroup", fs::read_to_string("/proc/self/cgroup")?.trim_end());
    inside.fact("mountinfo", &fs::read_to_string("/proc/self/mountinfo")?);
    let name = nix::sys::utsname::uname()?;
    inside.fact("uname", &name.nodename().to_string_lossy());
    for path in ["/etc/hostname", "/etc/passwd", "/etc/group"] {
        inside.fact(path, fs::read_to_string(path)?.trim_end());
    }
    inside.attempt("/etc/machine-id", fs::read("/etc/machine-id"));
    inside.attempt("/etc/shadow", fs::read("/etc/shadow"));
    for path in SILENT {
        if let Some(content) = inside.attempt(path, fs::read(path)) {
            inside.fact(path, &content.len().to_string());
        }
    }
    let mut text = [0; 4096];
    let mut words =
        [raw::Argument::Number(3), raw::Argument::Buffer(&mut text), raw::Argument::Number(4096)];
    inside.attempt("kernel log", raw::call(libc::SYS_syslog, &mut words));
    inside.attempt("/dev/kmsg", fs::File::open("/dev/kmsg"));
    // Whatever lists addresses must list zeros to whoever has no capability.
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    let shown: Vec<&str> = modules
        .lines()
        .filter(|line| line.contains(" 0x") && !line.contains(" 0x0000000000000000"))
        .collect();
    inside.fact("addresses", &shown.join("\n"));
    Ok(())
}
