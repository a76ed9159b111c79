//! No new namespace is made or entered inside, whichever call asks and whatever else the flags hold.
//!
//! Layers: seccomp; for all but user namespaces also the empty capability sets.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, Trial, raw};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["K07", "K15", "E10"],
    outside,
    probes: &[("divide", divide)],
    by: By::Anybody,
    ..Case::NEW
};

/// The kinds, by their files in `/proc/self/ns` and their flags for clone(2).
const KINDS: &[(&str, u64)] = &[
    ("mnt", 0x0002_0000),
    ("cgroup", 0x0200_0000),
    ("uts", 0x0400_0000),
    ("ipc", 0x0800_0000),
    ("user", 0x1000_0000),
    ("pid", 0x2000_0000),
    ("net", 0x4000_0000),
];

/// For unshare(2) only; for clone(2) the bit is part of the signal.
const TIME: (&str, u64) = ("time", 0x80);

/// `UNSHARE_EMPTY_MNTNS`, for unshare(2) only: older kernels than 7.1 answer `EINVAL` themselves.
const EMPTY: u64 = 0x0010_0000;

/// Bits that the kernel does not look at.
const JUNK: u64 = 0x5a5a_5a5a_0000_0000;

/// `CLONE_FS`, which alone is harmless.
const SHARE: u64 = 0x200;

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("divide", &[]).run()?;
    run.ran()?;
    for (kind, _) in KINDS.iter().chain([&TIME]) {
        for how in ["", " with junk", " with others"] {
            run.refused(&format!("unshare {kind}{how}"), &[Errno::EPERM])?;
        }
        run.refused(&format!("setns {kind}"), &[Errno::EPERM])?;
        run.refused(&format!("setns {kind} with junk"), &[Errno::EPERM])?;
    }
    run.refused("unshare empty mnt", &[Errno::EPERM])?;
    for (kind, _) in KINDS {
        for how in ["", " with junk", " with others"] {
            let met = run.fact(&format!("clone {kind}{how}"))?;
            ensure!(met == "EPERM", "clone {kind}{how}: {met}");
        }
        let met = run.fact(&format!("clone3 {kind}"))?;
        ensure!(met == "ENOSYS", "clone3 {kind}: {met}");
    }
    // What threads and children need is there, so the above is not just the call's absence.
    ensure!(run.fact("clone plain")? == "done", "clone: {}", run.fact("clone plain")?);
    run.allowed("unshare plain")?;
    ensure!(run.fact("before")? == run.fact("after")?, "the namespaces changed");
    Ok(())
}

fn divide(inside: &Inside) -> Result<()> {
    const SIGCHLD: u64 = 17;
    inside.fact("before", &namespaces()?);
    for (kind, flag) in KINDS.iter().chain([&TIME]) {
        for (how, flags) in
            [("", *flag), (" with junk", flag | JUNK), (" with others", flag | SHARE)]
        {
            let what = format!("unshare {kind}{how}");
            inside.attempt(&what, raw::call_numbers(libc::SYS_unshare, &[flags]));
        }
        let path = std::ffi::CString::new(format!("/proc/self/ns/{kind}"))?;
        let mut words = [raw::Argument::Number(AT_FDCWD), raw::Argument::Text(&path)];
        let file = raw::call(libc::SYS_openat, &mut words)?.cast_unsigned();
        inside
            .attempt(&format!("setns {kind}"), raw::call_numbers(libc::SYS_setns, &[file, *flag]));
        let junk = raw::call_numbers(libc::SYS_setns, &[file | JUNK, flag | JUNK]);
        inside.attempt(&format!("setns {kind} with junk"), junk);
    }
    inside.attempt("unshare empty mnt", raw::call_numbers(libc::SYS_unshare, &[EMPTY]));
    for (kind, flag) in KINDS {
        for (how, flags) in
            [("", *flag), (" with junk", flag | JUNK), (" with others", flag | SHARE)]
        {
            let met = Trial::of(|| raw::call_numbers(libc::SYS_clone, &[flags | SIGCHLD]))?;
            inside.fact(&format!("clone {kind}{how}"), &met.to_string());
        }
        // `struct clone_args` of 64 bytes: the flags first, the signal fifth.
        let mut args = [0; 64];
        args[..8].copy_from_slice(&flag.to_ne_bytes());
        args[32..40].copy_from_slice(&SIGCHLD.to_ne_bytes());
        let met = Trial::of(|| {
            let mut words = [raw::Argument::Bytes(&args), raw::Argument::Number(64)];
            raw::call(libc::SYS_clone3, &mut words)
        })?;
        inside.fact(&format!("clone3 {kind}"), &met.to_string());
    }
    let plain = Trial::of(|| raw::call_numbers(libc::SYS_clone, &[SIGCHLD]))?;
    inside.fact("clone plain", &plain.to_string());
    inside.attempt("unshare plain", raw::call_numbers(libc::SYS_unshare, &[SHARE]));
    inside.fact("after", &namespaces()?);
    Ok(())
}

/// -100 as an argument.
const AT_FDCWD: u64 = 0xffff_ff9c;

fn namespaces() -> Result<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/ns")? {
        found.push(fs::read_link(entry?.path())?.display().to_string());
    }
    found.sort();
    Ok(found.join(" "))
}
