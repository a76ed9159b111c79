//! The only devices are the harmless ones of `/dev`: none can be made, and one that lies in a granted
//! folder cannot be opened.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

/// Making them: the filter, the want of `CAP_MKNOD` and Landlock. Opening one that is there: the
/// mount's `nodev`, and the cgroup of devices where the host has one.
pub(crate) const CASE: Case = Case {
    rows: &["F25", "F26", "F27", "F28", "I06"],
    outside,
    probes: &[("make", make), ("kernel", kernel)],
    by: By::Anybody,
    ..Case::NEW
};

const KNOWN: &str =
    "fd full null ptmx pts pts/ptmx random shm stderr stdin stdout tty urandom zero";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    // The kernel's log, and memory that is always zero: to be seen from outside that they open.
    // Only root can make them there.
    for (name, minor) in [("kmsg", 11), ("zero", 5)] {
        if outside.is_user() {
            continue;
        }
        let path = ws.join(name);
        mknod(&path, SFlag::S_IFCHR, Mode::empty(), makedev(1, minor))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        File::open(&path)?;
    }
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let words = [ws.to_str().unwrap_or_default()];
    let run = outside.sandbox(&profile).probe("make", &words).run()?;
    run.ran()?.allowed("pipe")?.allowed("null")?.allowed("random")?;
    for attempt in ["character", "block", "whiteout"] {
        run.refused(attempt, &[Errno::EPERM, Errno::EACCES])?;
    }
    run.refused("renameat2 whiteout", &[Errno::EPERM])?;
    run.allowed("renameat2")?;
    for attempt in ["open kmsg", "open zero"] {
        let made = [Errno::EACCES, Errno::EPERM];
        run.refused(attempt, if outside.is_user() { &[Errno::ENOENT] } else { &made })?;
    }
    run.refused("absent", &[Errno::ENOENT])?;
    ensure!(run.fact("dev")? == KNOWN, "/dev holds {}", run.fact("dev")?);
    for entry in fs::read_dir(&ws)? {
        let (path, kind) = {
            let entry = entry?;
            (entry.path(), entry.file_type()?)
        };
        let own = path.ends_with("kmsg") || path.ends_with("zero");
        ensure!(own || !(kind.is_char_device() || kind.is_block_device()), "{}", path.display());
    }
    // One that is granted by its name is a problem.
    if !outside.is_user() {
        let profile =
            format!("extends = [\"builtin:base\"]\n[files]\nread = [{:?}]\n", ws.join("kmsg"));
        outside
            .sandbox(&profile)
            .command(&["/bin/true"])
            .run()?
            .has_problem(&["kmsg", "device"])?;
    }

    kernel_is_the_hosts(outside)
}

fn kernel_is_the_hosts(outside: &Outside) -> Result<()> {
    let pattern = fs::read("/proc/sys/kernel/core_pattern")?;
    let name = fs::read("/proc/sys/kernel/hostname")?;
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("kernel", &[]).run()?;
    run.ran()?;
    for (attempt, errno) in run.attempts() {
        ensure!(errno != 0, "{attempt}: was let through");
    }
    for secret in ["kcore", "keys", "kallsyms", "interrupts", "timer_list", "sched_debug"] {
        ensure!(run.fact(secret)?.is_empty(), "{secret} tells {:?}", run.fact(secret)?);
    }
    ensure!(fs::read("/proc/sys/kernel/core_pattern")? == pattern, "core_pattern was changed");
    ensure!(fs::read("/proc/sys/kernel/hostname")? == name, "the host was renamed");
    Ok(())
}

fn make(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    for folder in [ws.to_str().unwrap_or_default(), "/tmp", "/dev/shm", "/dev"] {
        let at = |name: &str| format!("{folder}/made-{name}");
        let mode = Mode::from_bits_truncate(0o666);
        let null = makedev(1, 3);
        inside.attempt("character", mknod(at("c").as_str(), SFlag::S_IFCHR, mode, null));
        inside.attempt("block", mknod(at("b").as_str(), SFlag::S_IFBLK, mode, makedev(8, 0)));
        inside.attempt("whiteout", mknod(at("w").as_str(), SFlag::S_IFCHR, mode, 0));
    }
    inside.attempt("pipe", mknod(&ws.join("pipe"), SFlag::S_IFIFO, Mode::S_IRWXU, 0));
    // The kernel leaves a character device where the file was, and asks for no capability.
    let (from, to) = (ws.join("from"), ws.join("to"));
    fs::write(&from, "moved")?;
    let rename = |flags| renameat2(AT_FDCWD, &from, AT_FDCWD, &to, flags);
    inside.attempt("renameat2 whiteout", rename(RenameFlags::RENAME_WHITEOUT));
    inside.attempt("renameat2", rename(RenameFlags::RENAME_NOREPLACE));
    for name in ["kmsg", "zero"] {
        inside.attempt(&format!("open {name}"), File::open(ws.join(name)));
    }
    inside.attempt("null", fs::write("/dev/null", "x"));
    inside.attempt("random", File::open("/dev/urandom"));
    for name in [
        "mem",
        "kmem",
        "port",
        "kmsg",
        "kvm",
        "fuse",
        "vda",
        "sda",
        "nvme0",
        "loop-control",
        "net/tun",
        "vsock",
        "vhost-net",
        "userfaultfd",
        "snapshot",
        "uinput",
        "console",
        "tty0",
        "ttyS0",
        "mapper/control",
        "cpu_dma_latency",
        "hwrng",
        "hugepages",
        "mqueue",
    ] {
        inside.attempt("absent", fs::symlink_metadata(format!("/dev/{name}")));
    }
    let mut names = Vec::new();
    for folder in ["", "pts/"] {
        for entry in fs::read_dir(format!("/dev/{folder}"))? {
            names.push(format!("{folder}{}", entry?.file_name().to_string_lossy()));
        }
    }
    names.sort();
    inside.fact("dev", &names.join(" "));
    Ok(())
}

fn kernel(inside: &Inside) -> Result<()> {
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/memfd_noexec",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/1/oom_score_adj",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/power/state",
    ] {
        let opened = fs::OpenOptions::new().write(true).open(path);
        inside
            .attempt(path, opened.and_then(|mut file| std::io::Write::write_all(&mut file, b"1")));
    }
    inside.attempt("/sys", fs::read_dir("/sys/kernel"));
    for name in ["kcore", "keys", "kallsyms", "interrupts", "timer_list", "sched_debug"] {
        let mut bytes = Vec::new();
        // Absent, closed or empty: all of it is nothing told.
        if let Ok(file) = File::open(format!("/proc/{name}")) {
            let mut first = std::io::Read::take(file, 200);
            std::io::Read::read_to_end(&mut first, &mut bytes)?;
        }
        inside.fact(name, &String::from_utf8_lossy(&bytes));
    }
    Ok(())
}
