//! Where the filter asks the supervisor about what it refuses, nothing is let through by that: no program puts
//! on a filter that asks somebody else, none has what the supervisor answers through, and many threads that are
//! refused at once all get the errno of the plan.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside};
use sandboxd_integration::{facts, raw};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["K10", "P20", "P21"],
    outside,
    probes: &[("ask", ask)],
    by: By::Anybody,
    seconds: 120,
    ..Case::NEW
};

const THREADS: usize = 8;
const TIMES: usize = 500;
/// BPF_RET | BPF_K, `SECCOMP_RET_USER_NOTIF`.
const ASK: libc::sock_filter = libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0x7fc0_0000 };

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("ask", &[]).run()?;
    run.ran()?;
    // A kernel that answers by itself lets it ask somebody, and has refused before that is looked at.
    let asked = run.errno("a filter that asks")?;
    let told = run.result.as_ref().and_then(|result| result.pointer("/denials/unseen"));
    let unseen = told.context("it does not say what is unseen")?.as_str();
    let is_asked = facts::refusals_can_be_asked_about()?;
    ensure!(unseen.is_none() == is_asked, "asked: {is_asked}, and yet {unseen:?}");
    if let Some(unseen) = unseen {
        outside.not_run(&format!("what sandboxd is asked; here it is not: {unseen}"));
    }
    ensure!(!is_asked || asked == libc::EBUSY, "errno {asked}");
    run.refused("mount", &[Errno::EPERM])?;
    ensure!(run.fact("wrong")? == "0", "{} refusals came with another errno", run.fact("wrong")?);
    ensure!(run.fact("listeners")? == "0", "a listener is open inside");
    if is_asked {
        let times = run.result.as_ref().and_then(|result| result.pointer("/denials/calls/0/times"));
        let times = times.and_then(serde_json::Value::as_u64).unwrap_or(0);
        ensure!(times >= u64::try_from(THREADS * TIMES)?, "{times} refusals were counted");
    }
    Ok(())
}

fn ask(inside: &Inside) -> Result<()> {
    let listeners = fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|link| link.to_string_lossy().contains("seccomp"));
    inside.fact("listeners", &listeners.count().to_string());
    let wrong: usize = std::thread::scope(|scope| {
        let tries = || (0..TIMES).filter(|_| mount() != Err(Errno::EPERM)).count();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(tries)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(TIMES)).sum()
    });
    inside.fact("wrong", &wrong.to_string());
    // Last, because whoever got one would be asked about everything.
    inside.attempt("a filter that asks", raw::filter(&mut only_mount(), true));
    inside.attempt("mount", mount());
    Ok(())
}

fn mount() -> nix::Result<()> {
    raw::call_numbers(libc::SYS_umount2, &[0, 0]).map(drop)
}

/// Asks about umount2 and lets everything else through.
fn only_mount() -> [libc::sock_filter; 4] {
    let number = u32::try_from(libc::SYS_umount2).unwrap_or(u32::MAX);
    [
        libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: number },
        ASK,
        libc::sock_filter { code: 6, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ]
}
