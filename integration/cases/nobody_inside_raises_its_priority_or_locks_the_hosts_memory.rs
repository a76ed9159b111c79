//! Nobody inside goes before others: no real-time scheduling, no higher priority, no first place at
//! the disk, no memory locked beyond a few megabytes, no huge page, no smaller chance to be killed
//! when memory runs out.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["R09", "R14", "R18"],
    outside,
    probes: &[("push", push)],
    by: By::Anybody,
    ..Case::NEW
};

const MAP_HUGETLB: u64 = 0x40000;
/// The limit of locked memory that the product sets.
const LOCKED: u64 = 8 << 20;

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("push", &[]).run()?;
    run.ran()?;
    for attempt in ["fifo", "round-robin", "deadline", "nice", "ioprio", "every process"] {
        run.refused(attempt, &[Errno::EPERM, Errno::EACCES])?;
    }
    for attempt in ["lock", "lock all", "raise the limit"] {
        run.refused(attempt, &[Errno::ENOMEM, Errno::EPERM, Errno::EAGAIN])?;
    }
    run.refused("huge segment", &[Errno::EPERM, Errno::ENOMEM])?;
    run.refused("oom", &[Errno::EACCES, Errno::EPERM, Errno::EROFS])?;
    // To take a place further back is harmless, and programs do.
    run.allowed("lower")?.allowed("lock a little")?;
    let locked: u64 = run.fact("locked")?.parse()?;
    ensure!(locked <= LOCKED >> 10, "{locked} KiB are locked");
    let score: i32 = run.fact("score")?.parse()?;
    ensure!(score > 0, "oom_score_adj is {score}: the host's own processes are killed first");
    Ok(())
}

fn push(inside: &Inside) -> Result<()> {
    let call = raw::call_numbers;
    let scheduler = |policy: u64, priority: u32| {
        let parameter = priority.to_ne_bytes();
        raw::call(
            libc::SYS_sched_setscheduler,
            &mut [Argument::Number(0), Argument::Number(policy), Argument::Bytes(&parameter)],
        )
    };
    inside.attempt("fifo", scheduler(1, 50));
    inside.attempt("round-robin", scheduler(2, 1));
    // struct sched_attr: size, policy 6, flags, nice, priority, then three times of 10, 20, 30 ms.
    let mut attributes: Vec<u8> = [48_u32, 6].iter().flat_map(|word| word.to_ne_bytes()).collect();
    attributes.extend([0_u8; 16]);
    for time in [10_000_000_u64, 20_000_000, 30_000_000] {
        attributes.extend(time.to_ne_bytes());
    }
    inside.attempt(
        "deadline",
        raw::call(
            libc::SYS_sched_setattr,
            &mut [Argument::Number(0), Argument::Bytes(&attributes), Argument::Number(0)],
        ),
    );
    let nice = |value: i64| call(libc::SYS_setpriority, &[0, 0, value.cast_unsigned()]);
    inside.attempt("nice", nice(-20));
    inside.attempt("every process", call(libc::SYS_setpriority, &[2, 0, (-1_i64).cast_unsigned()]));
    inside.attempt("ioprio", call(libc::SYS_ioprio_set, &[1, 0, 1 << 13]));
    lock(inside)?;
    let score = "/proc/self/oom_score_adj";
    inside.fact("score", fs::read_to_string(score)?.trim());
    inside.attempt("oom", fs::write(score, "-1000"));
    inside.attempt("lower", nice(5));
    Ok(())
}

fn lock(inside: &Inside) -> Result<()> {
    let call = raw::call_numbers;
    // PROT_READ | PROT_WRITE; MAP_PRIVATE | MAP_ANONYMOUS.
    let map = |size: u64| call(libc::SYS_mmap, &[0, size, 3, 0x22, u64::MAX, 0]);
    let (little, much) = (map(1 << 20)?.cast_unsigned(), map(4 * LOCKED)?.cast_unsigned());
    inside.attempt("lock a little", call(libc::SYS_mlock, &[little, 1 << 20]));
    inside.attempt("lock", call(libc::SYS_mlock, &[much, 4 * LOCKED]));
    inside.attempt("lock all", call(libc::SYS_mlockall, &[3]));
    let unlimited = [u64::MAX.to_ne_bytes(), u64::MAX.to_ne_bytes()].concat();
    inside.attempt(
        "raise the limit",
        raw::call(
            libc::SYS_prlimit64,
            &mut [
                Argument::Number(0),
                Argument::Number(u64::from(libc::RLIMIT_MEMLOCK)),
                Argument::Bytes(&unlimited),
                Argument::Number(0),
            ],
        ),
    );
    // A host keeps no huge pages as a rule, and then there are none.
    inside.attempt(
        "huge segment",
        call(libc::SYS_mmap, &[0, 2 << 20, 3, 0x22 | MAP_HUGETLB, u64::MAX, 0]),
    );
    let status = fs::read_to_string("/proc/self/status")?;
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let locked = locked.unwrap_or_default().trim().trim_end_matches(" kB");
    inside.fact("locked", locked);
    Ok(())
}
