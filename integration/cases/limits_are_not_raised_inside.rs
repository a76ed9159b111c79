//! A limit that the plan set is not raised inside, neither by the process for itself nor for another,
//! and lowering it is everybody's right, but for that of cores: at 1 byte the host's handler of cores is not run,
//! core(5), and at 0, as who wants no core asks for, it would be, as root and outside.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["V07", "E30"],
    outside,
    probes: &[("raise", raise)],
    by: By::Anybody,
    ..Case::NEW
};

/// Limits that the product sets, as the C library and as the kernel name them.
const LIMITS: &[(&str, Resource, u32)] = &[
    ("processes", Resource::RLIMIT_NPROC, libc::RLIMIT_NPROC),
    ("open files", Resource::RLIMIT_NOFILE, libc::RLIMIT_NOFILE),
    ("core", Resource::RLIMIT_CORE, libc::RLIMIT_CORE),
    ("file size", Resource::RLIMIT_FSIZE, libc::RLIMIT_FSIZE),
    ("locked memory", Resource::RLIMIT_MEMLOCK, libc::RLIMIT_MEMLOCK),
];

fn outside(outside: &Outside) -> Result<()> {
    let profile = "extends = [\"builtin:base\"]\n\
                   [limits]\nprocesses = 50\nopen_files = 100\nfile_size = \"1M\"\n";
    let run = outside.sandbox(profile).probe("raise", &[]).run()?;
    run.ran()?;
    for (name, ..) in LIMITS {
        for way in ["raised", "raised by prlimit", "of init"] {
            let attempt = format!("{name} {way}");
            // Whoever sets that of cores is told that it is done.
            match *name {
                "core" => run.allowed(&attempt)?,
                _ => run.refused(&attempt, &[Errno::EPERM])?,
            };
        }
        let (before, after) = (run.fact(name)?, run.fact(&format!("{name} after"))?);
        ensure!(before == after, "{name} was {before} and became {after}");
    }
    // One byte of core is less than a page, and unlike zero it keeps a host's core handler quiet.
    for (name, most) in [("open files", 100), ("core", 1), ("file size", 1 << 20)] {
        let limit: u64 = run.fact(name)?.parse()?;
        ensure!(limit <= most, "{name}: {limit}");
    }
    for way in CORES {
        run.allowed(&format!("core lowered by {way}"))?;
    }
    run.refused("core lowered and read", &[Errno::EINVAL])?;
    let core: u64 = run.fact("core at the end")?.parse()?;
    ensure!(core == 1, "the limit of cores became {core}, and a handler of the host's would run");
    run.allowed("lowered")?.refused("raised again", &[Errno::EPERM])?;
    run.refused("oom_score_adj", &[Errno::EACCES, Errno::EPERM])?;
    Ok(())
}

fn raise(inside: &Inside) -> Result<()> {
    for (name, resource, number) in LIMITS {
        let (_, hard) = getrlimit(*resource)?;
        inside.fact(name, &hard.to_string());
        let more = hard.checked_add(1).context("there is no limit")?;
        inside.attempt(&format!("{name} raised"), setrlimit(*resource, more, more));
        for (whom, what) in [(0, "raised by prlimit"), (1, "of init")] {
            inside.attempt(&format!("{name} {what}"), prlimit(whom, *number, more));
        }
        inside.fact(&format!("{name} after"), &getrlimit(*resource)?.1.to_string());
    }
    lower_cores(inside)?;
    inside.attempt("lowered", setrlimit(Resource::RLIMIT_NOFILE, 50, 50));
    inside.attempt("raised again", setrlimit(Resource::RLIMIT_NOFILE, 50, 51));
    let own: i32 = fs::read_to_string("/proc/self/oom_score_adj")?.trim().parse()?;
    let lower = fs::write("/proc/self/oom_score_adj", (own - 1).to_string());
    inside.attempt("oom_score_adj", lower);
    Ok(())
}

/// An address whose low half is 0.
const AWKWARD: u64 = 1 << 32;
/// `PROT_READ | PROT_WRITE`.
const READ_WRITE: u64 = 3;
/// `MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS`.
const FIXED: u64 = 0x32;

/// Each way to say that no core is wanted.
const CORES: [&str; 4] =
    ["the C library", "setrlimit", "prlimit", "an address whose low half is 0"];

fn lower_cores(inside: &Inside) -> Result<()> {
    let [library, own, other, address] = CORES.map(|way| format!("core lowered by {way}"));
    inside.attempt(&library, setrlimit(Resource::RLIMIT_CORE, 0, 0));
    let mut words = [Argument::Number(libc::RLIMIT_CORE.into()), Argument::Bytes(&[0; 16])];
    inside.attempt(&own, raw::call(libc::SYS_setrlimit, &mut words));
    inside.attempt(&other, prlimit(0, libc::RLIMIT_CORE, 0));
    // Memory is zeros at first: a limit of 0 and 0.
    let mapped =
        raw::call_numbers(libc::SYS_mmap, &[AWKWARD, 4096, READ_WRITE, FIXED, u64::MAX, 0])?;
    ensure!(u64::try_from(mapped)? == AWKWARD, "memory at {mapped:#x}");
    let words = [0, libc::RLIMIT_CORE.into(), AWKWARD, 0];
    inside.attempt(&address, raw::call_numbers(libc::SYS_prlimit64, &words));
    let words = [0, libc::RLIMIT_CORE.into(), AWKWARD, AWKWARD];
    inside.attempt("core lowered and read", raw::call_numbers(libc::SYS_prlimit64, &words));
    inside.fact("core at the end", &getrlimit(Resource::RLIMIT_CORE)?.1.to_string());
    Ok(())
}

/// prlimit(2): `struct rlimit64` is the soft and the hard limit.
fn prlimit(whom: u64, resource: u32, limit: u64) -> nix::Result<i64> {
    let mut both = [0; 16];
    both[..8].copy_from_slice(&limit.to_ne_bytes());
    both[8..].copy_from_slice(&limit.to_ne_bytes());
    let mut words =
        [Argument::Number(whom), Argument::Number(u64::from(resource)), Argument::Bytes(&both)];
    raw::call(libc::SYS_prlimit64, &mut words)
}
