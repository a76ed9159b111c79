//! No process looks into or steers another one: not its own child by default, never init, and the
//! host's are not even there.
//!
//! Layers: seccomp for all of them; for init also its uid and that it is not dumpable, tried with
//! `@debug` allowed; for the host's the pid namespace.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pause};
use sandboxd_integration::{By, Case, Inside, Outside, Victim, raw};
use std::fs;
use std::io::{IoSlice, IoSliceMut};

pub(crate) const CASE: Case = Case {
    rows: &["P04", "P05", "P07", "I02", "E32"],
    outside,
    probes: &[("look", look)],
    by: By::Anybody,
    ..Case::NEW
};

/// What is refused by its number, whatever the process it names.
const BY_NUMBER: &[&str] = &[
    "traceme", "attach", "seize", "readv", "writev", "kcmp", "getfd", "madvise", "mrelease",
    "move", "migrate",
];

fn outside(outside: &Outside) -> Result<()> {
    let mut victim = Victim::start()?;
    let pids = [victim.pid().to_string(), std::process::id().to_string()];
    let look = |profile: &str| outside.sandbox(profile).probe("look", &[&pids[0], &pids[1]]).run();
    let run = look("extends = [\"builtin:base\"]\n")?;
    run.ran()?;
    for whom in ["child", "init", "victim"] {
        for attempt in BY_NUMBER.iter().filter(|attempt| **attempt != "traceme") {
            run.refused(&format!("{attempt} {whom}"), &[Errno::EPERM])?;
        }
    }
    run.refused("traceme", &[Errno::EPERM])?;
    hides_the_host(&run)?;

    // With the filter out of the way for debuggers, the rest still stands.
    let run = look("extends = [\"builtin:base\"]\n[syscalls]\nallow = [\"@debug\"]\n")?;
    run.ran()?.allowed("attach child")?;
    for attempt in ["attach", "seize", "readv", "writev"] {
        run.refused(&format!("{attempt} init"), &[Errno::EPERM])?;
        run.refused(&format!("{attempt} victim"), &[Errno::ESRCH])?;
    }
    run.refused("getfd init", &[Errno::EPERM])?;
    hides_the_host(&run)?;
    victim.lives()
}

fn hides_the_host(run: &sandboxd_integration::Run) -> Result<()> {
    for file in ["status", "cmdline", "environ", "root", "fd"] {
        for whom in ["victim", "observer"] {
            run.refused(&format!("/proc/{whom}/{file}"), &[Errno::ENOENT])?;
        }
    }
    for file in ["environ", "mem", "maps", "root", "cwd", "exe", "fd"] {
        run.refused(&format!("/proc/init/{file}"), &[Errno::EACCES, Errno::EPERM])?;
    }
    let seen: Vec<u32> = run.fact("pids")?.split(' ').filter_map(|pid| pid.parse().ok()).collect();
    ensure!(seen.contains(&1) && seen.len() <= 4, "processes seen: {seen:?}");
    Ok(())
}

fn look(inside: &Inside) -> Result<()> {
    let victim: i32 = inside.argument(0)?.parse()?;
    let child = raw::fork(|| {
        loop {
            pause();
        }
    })?;
    let seen: Vec<String> = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.parse::<u32>().is_ok())
        .collect();
    inside.fact("pids", &seen.join(" "));
    for (whom, pid) in [("init", 1), ("victim", victim)] {
        steer(inside, whom, Pid::from_raw(pid));
    }
    // Last, since a child that was attached to stops.
    steer(inside, "child", child);
    kill(child, Signal::SIGKILL)?;
    waitpid(child, None)?;
    for (whom, pid) in [("victim", inside.argument(0)?), ("observer", inside.argument(1)?)] {
        for file in ["status", "cmdline", "environ", "root", "fd"] {
            let path = format!("/proc/{pid}/{file}");
            inside.attempt(&format!("/proc/{whom}/{file}"), fs::symlink_metadata(path));
        }
    }
    for file in ["environ", "mem", "maps"] {
        let read = fs::File::open(format!("/proc/1/{file}"));
        inside.attempt(&format!("/proc/init/{file}"), read);
    }
    for file in ["root", "cwd", "exe"] {
        let path = format!("/proc/1/{file}");
        inside.attempt(&format!("/proc/init/{file}"), fs::read_link(path));
    }
    inside.attempt("/proc/init/fd", fs::read_dir("/proc/1/fd"));
    inside.attempt("traceme", ptrace::traceme());
    Ok(())
}

/// Everything that one process can do to another but for signals.
fn steer(inside: &Inside, whom: &str, pid: Pid) {
    let number = u64::from(pid.as_raw().cast_unsigned());
    let own = u64::from(std::process::id());
    let attempt = |what: &str, call: i64, words: &[u64]| {
        inside.attempt(&format!("{what} {whom}"), raw::call_numbers(call, words));
    };
    // A byte that the child has at the same address.
    let mut byte = [0_u8];
    let remote = [RemoteIoVec { base: byte.as_ptr().addr(), len: 1 }];
    let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut byte)], &remote);
    inside.attempt(&format!("readv {whom}"), read);
    let written = process_vm_writev(pid, &[IoSlice::new(&[1])], &remote);
    inside.attempt(&format!("writev {whom}"), written);
    attempt("kcmp", libc::SYS_kcmp, &[own, number, 0, 0, 0]);
    attempt("move", libc::SYS_move_pages, &[number, 0, 0, 0, 0, 0]);
    attempt("migrate", libc::SYS_migrate_pages, &[number, 0, 0, 0]);
    // A descriptor that stands for the process where there is one, and none otherwise.
    let pidfd = raw::call_numbers(libc::SYS_pidfd_open, &[number, 0]);
    let pidfd = pidfd.map_or(u64::MAX, i64::cast_unsigned);
    attempt("getfd", libc::SYS_pidfd_getfd, &[pidfd, 0, 0]);
    attempt("madvise", libc::SYS_process_madvise, &[pidfd, 0, 0, 0, 0]);
    attempt("mrelease", libc::SYS_process_mrelease, &[pidfd, 0]);
    attempt("attach", libc::SYS_ptrace, &[PTRACE_ATTACH, number, 0, 0]);
    attempt("seize", libc::SYS_ptrace, &[PTRACE_SEIZE, number, 0, 0]);
}

/// `PTRACE_SEIZE` of linux/ptrace.h.
const PTRACE_SEIZE: u64 = 0x4206;
/// `PTRACE_ATTACH`.
const PTRACE_ATTACH: u64 = 16;
