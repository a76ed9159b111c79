//! The parts of `/proc` that say too much, and those that must not be written.

/// Covered by something empty, where they exist: the machine's secrets, addresses of the kernel, timing and locks of
/// others, what it was booted with, its disks and other devices, the modules of its kernel.
pub(crate) const HIDDEN: &[&str] = &[
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kallsyms",
    "/proc/kmsg",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/latency_stats",
    "/proc/pressure",
    "/proc/interrupts",
    "/proc/cmdline",
    "/proc/bootconfig",
    "/proc/locks",
    "/proc/softirqs",
    "/proc/sysrq-trigger",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
    "/proc/pagetypeinfo",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/kpagecgroup",
    "/proc/config.gz",
    "/proc/asound",
    "/proc/modules",
    "/proc/partitions",
    "/proc/diskstats",
    "/proc/swaps",
    "/proc/consoles",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/acpi",
    "/proc/scsi",
    "/proc/driver",
];

/// Read-only, where they exist: settings of the machine rather than of a process. By `/proc/tty/drivers` ps(1) names
/// terminals.
pub(crate) const READ_ONLY: &[&str] = &["/proc/sys", "/proc/tty"];

/// What of the machine's own files a sandbox without a view may read: facts that runtimes size themselves
/// by. Not the rest of `/proc`, which tells what everybody's programs were started with.
pub(crate) const SHARED: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/version",
    "/proc/filesystems",
    "/proc/sys",
];

/// How names are resolved, shown where the network is the host's.
pub(crate) const RESOLVER: &[&str] =
    &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/services"];
