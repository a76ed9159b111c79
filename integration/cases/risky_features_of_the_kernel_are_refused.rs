//! The parts of the kernel that most exploits begin with, and those that belong to whoever
//! administers the machine, are refused, each with the answer that programs can live with.
//!
//! Layers: seccomp by number; the empty capability sets for what is the administrator's.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside, Trial};
use std::fs;
use std::os::fd::AsRawFd as _;

pub(crate) const CASE: Case = Case {
    rows: &["K01", "K02", "K03", "K04", "K05", "K08", "K09", "K10", "K14", "E12", "E32", "I06"],
    outside,
    probes: &[("use", try_all)],
    by: By::Anybody,
    ..Case::NEW
};

/// A call and the numbers it is made with, which a kernel that let it through would refuse for what
/// they are, or do no harm with.
type Call = (&'static str, i64, [u64; 4]);

/// `-1`.
const NONE: u64 = u64::MAX;

/// Answered as if the kernel were older.
const UNKNOWN: &[Call] = &[
    ("io_uring_enter", libc::SYS_io_uring_enter, [0, 1, 1, 1]),
    ("io_uring_register", libc::SYS_io_uring_register, [0, 0, 0, 0]),
    ("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0]),
    ("userfaultfd user mode", libc::SYS_userfaultfd, [1, 0, 0, 0]),
    ("keyctl session", libc::SYS_keyctl, [0, 0xffff_fffd, 0, 0]),
    ("keyctl user", libc::SYS_keyctl, [0, 0xffff_fffc, 0, 0]),
    ("keyctl join", libc::SYS_keyctl, [1, 0, 0, 0]),
    ("keyctl read", libc::SYS_keyctl, [11, 0xffff_fffd, 0, 0]),
    ("keyctl junk", libc::SYS_keyctl, [0x1_0000_0000, 0xffff_fffd, 0, 0]),
    ("add_key", libc::SYS_add_key, [0, 0, 0, 0]),
    ("request_key", libc::SYS_request_key, [0, 0, 0, 0]),
    ("modify_ldt", libc::SYS_modify_ldt, [0, 0, 0, 0]),
    ("uselib", libc::SYS_uselib, [0, 0, 0, 0]),
    ("_sysctl", libc::SYS__sysctl, [0, 0, 0, 0]),
    ("memfd_secret", libc::SYS_memfd_secret, [0, 0, 0, 0]),
    ("statmount", 457, [0, 0, 0, 0]),
    ("listmount", 458, [0, 0, 0, 0]),
];

/// Answered as whoever is not root is answered.
const REFUSED: &[Call] = &[
    ("bpf map", libc::SYS_bpf, [0, 0, 0, 0]),
    ("bpf load", libc::SYS_bpf, [5, 0, 0, 0]),
    ("bpf junk", libc::SYS_bpf, [0xffff_ffff_0000_0000, 0, 0, 0]),
    ("perf_event_open", libc::SYS_perf_event_open, [0, 0, NONE, NONE]),
    ("init_module", libc::SYS_init_module, [0, 0, 0, 0]),
    ("finit_module", libc::SYS_finit_module, [NONE, 0, 0, 0]),
    ("delete_module", libc::SYS_delete_module, [0, 0, 0, 0]),
    ("kexec_load", libc::SYS_kexec_load, [0, 17, 0, 0]),
    ("kexec_file_load", libc::SYS_kexec_file_load, [NONE, NONE, 0, 0]),
    ("reboot", libc::SYS_reboot, [0, 0, 0, 0]),
    ("swapon", libc::SYS_swapon, [0, 0, 0, 0]),
    ("swapoff", libc::SYS_swapoff, [0, 0, 0, 0]),
    ("acct", libc::SYS_acct, [1, 0, 0, 0]),
    ("iopl", libc::SYS_iopl, [3, 0, 0, 0]),
    ("ioperm", libc::SYS_ioperm, [0, 1, 1, 0]),
    ("settimeofday", libc::SYS_settimeofday, [1, 1, 0, 0]),
    ("clock_settime", libc::SYS_clock_settime, [0, 1, 0, 0]),
    ("adjtimex", libc::SYS_adjtimex, [1, 0, 0, 0]),
    ("sethostname", libc::SYS_sethostname, [1, 1, 0, 0]),
    ("setdomainname", libc::SYS_setdomainname, [1, 1, 0, 0]),
    ("syslog read all", libc::SYS_syslog, [3, 0, 0, 0]),
    ("syslog size", libc::SYS_syslog, [10, 0, 0, 0]),
    ("vhangup", libc::SYS_vhangup, [0, 0, 0, 0]),
    ("sysfs", libc::SYS_sysfs, [3, 0, 0, 0]),
    ("ustat", libc::SYS_ustat, [0, 0, 0, 0]),
    ("fanotify_init", libc::SYS_fanotify_init, [0, 0, 0, 0]),
    ("fanotify_init unprivileged", libc::SYS_fanotify_init, [0x200, 0, 0, 0]),
    ("quotactl", libc::SYS_quotactl, [0, 0, 0, 0]),
    ("quotactl_fd", libc::SYS_quotactl_fd, [0, 0, 0, 0]),
    ("lookup_dcookie", libc::SYS_lookup_dcookie, [0, 0, 0, 0]),
    ("vmsplice", libc::SYS_vmsplice, [0, 0, 0, 0]),
];

/// Pages that are the host's, and that no limit of memory counts, answered as if there were none: the first of a size that
/// there is not, the second without a name.
const HUGE: &[Call] = &[
    ("mmap MAP_HUGETLB", libc::SYS_mmap, [0, 1 << 21, 3, 0xfc04_0022]),
    ("memfd_create MFD_HUGETLB", libc::SYS_memfd_create, [0, 4, 0, 0]),
];

fn outside(outside: &Outside) -> Result<()> {
    // A session keyring with a key, as a login has one; the sandbox must not inherit it.
    let key = session_key()?;
    let before = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let number = key.to_string();
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("use", &[&number]).run()?;
    run.ran()?;
    for (name, ..) in UNKNOWN {
        let met = run.fact(name)?;
        ensure!(met == "ENOSYS", "{name}: {met}");
    }
    for name in ["io_uring_setup", "keyctl foreign"] {
        ensure!(run.fact(name)? == "ENOSYS", "{name}: {}", run.fact(name)?);
    }
    for (name, ..) in HUGE {
        let met = run.fact(name)?;
        ensure!(met == "ENOMEM", "{name}: {met}");
    }
    for (name, ..) in REFUSED {
        let met = run.fact(name)?;
        ensure!(met == "EPERM", "{name}: {met}");
    }
    ensure!(run.fact("lease")? == "EPERM", "lease: {}", run.fact("lease")?);
    ensure!(run.fact("lease asked")? == "done", "lease asked: {}", run.fact("lease asked")?);
    for file in ["/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/kmsg", "/proc/kcore"] {
        let met = run.errno(file)?;
        let empty = met == 0 && run.fact(file)? == "0";
        ensure!(empty || met != 0, "{file} can be read");
    }
    run.refused("/dev/kmsg", &[Errno::ENOENT])?;
    ensure!(fs::read_to_string("/proc/sys/kernel/hostname")? == before, "the host's name changed");
    Ok(())
}

/// Puts a key into a session keyring of this process.
fn session_key() -> Result<i64> {
    const JOIN_SESSION_KEYRING: u64 = 1;
    const SESSION: u64 = 0xffff_fffd;
    raw::call_numbers(libc::SYS_keyctl, &[JOIN_SESSION_KEYRING, 0]).context("a session keyring")?;
    let secret = b"a secret of the session";
    let mut words = [
        Argument::Text(c"user"),
        Argument::Text(c"sandboxd-test"),
        Argument::Bytes(secret),
        Argument::Number(23),
        Argument::Number(SESSION),
    ];
    raw::call(libc::SYS_add_key, &mut words).context("a key")
}

fn try_all(inside: &Inside) -> Result<()> {
    for (name, number, words) in UNKNOWN.iter().chain(REFUSED).chain(HUGE) {
        let met = Trial::of(|| raw::call_numbers(*number, words))?;
        inside.fact(name, &met.to_string());
    }
    let met = Trial::of(|| {
        let mut parameters = [0; 120];
        let mut words = [Argument::Number(1), Argument::Buffer(&mut parameters)];
        raw::call(libc::SYS_io_uring_setup, &mut words)
    })?;
    inside.fact("io_uring_setup", &met.to_string());
    let key: u64 = inside.argument(0)?.parse()?;
    let met = Trial::of(|| {
        let mut text = [0; 64];
        let mut words = [
            Argument::Number(11),
            Argument::Number(key),
            Argument::Buffer(&mut text),
            Argument::Number(64),
        ];
        raw::call(libc::SYS_keyctl, &mut words)
    })?;
    inside.fact("keyctl foreign", &met.to_string());
    // Whoever opens a leased file waits until the holder lets go; its owner may always have one.
    let own = fs::File::create("/tmp/leased")?;
    let number = u64::try_from(own.as_raw_fd())?;
    for (name, command, kind) in [("lease", 1024, 1), ("lease asked", 1025, 0)] {
        let met = Trial::of(|| raw::call_numbers(libc::SYS_fcntl, &[number, command, kind]))?;
        inside.fact(name, &met.to_string());
    }
    for file in ["/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/kmsg", "/proc/kcore"] {
        if let Some(text) = inside.attempt(file, fs::read(file)) {
            inside.fact(file, &text.len().to_string());
        }
    }
    inside.attempt("/dev/kmsg", fs::File::open("/dev/kmsg"));
    Ok(())
}
