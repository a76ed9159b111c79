//! A program cannot take back what protects it: no personality that weakens memory, no way to give
//! up `no_new_privs` or lie about its memory; what debuggers and libraries need stays.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, raw};

pub(crate) const CASE: Case = Case {
    rows: &["P18", "P19", "K15", "E32"],
    outside,
    probes: &[("weaken", weaken)],
    by: By::Anybody,
    ..Case::NEW
};

/// Bits that the kernel does not look at.
const JUNK: u64 = 0xdead_beef_0000_0000;

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("weaken", &[]).run()?;
    run.ran()?;
    for attempt in ["read implies exec", "fixed addresses", "both", "mm", "securebits"] {
        run.refused(attempt, &[Errno::EPERM])?;
        run.refused(&format!("{attempt}, junk"), &[Errno::EPERM])?;
    }
    run.refused("old privileges", &[Errno::EINVAL])?;
    for attempt in ["ask personality", "plain personality", "dumpable", "name"] {
        run.allowed(attempt)?;
    }
    for (fact, value) in [("personality", "0"), ("no_new_privs", "1")] {
        ensure!(run.fact(fact)? == value, "{fact} is {}", run.fact(fact)?);
    }
    let (before, after) = (run.fact("securebits before")?, run.fact("securebits")?);
    ensure!(before == after, "securebits were {before} and are {after}");
    Ok(())
}

fn weaken(inside: &Inside) -> Result<()> {
    const READ_IMPLIES_EXEC: u64 = 0x40_0000;
    const ADDR_NO_RANDOMIZE: u64 = 0x4_0000;
    const PR_SET_SECUREBITS: u64 = 28;
    const PR_SET_MM: u64 = 35;
    const PR_SET_NO_NEW_PRIVS: u64 = 38;
    const PR_GET_NO_NEW_PRIVS: u64 = 39;
    const PR_GET_SECUREBITS: u64 = 27;
    const PR_SET_DUMPABLE: u64 = 4;
    const PR_SET_NAME: u64 = 15;
    let refused: &[(&str, i64, [u64; 3])] = &[
        ("read implies exec", libc::SYS_personality, [READ_IMPLIES_EXEC, 0, 0]),
        ("fixed addresses", libc::SYS_personality, [ADDR_NO_RANDOMIZE, 0, 0]),
        ("both", libc::SYS_personality, [READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE, 0, 0]),
        ("mm", libc::SYS_prctl, [PR_SET_MM, 1, 0]),
        ("securebits", libc::SYS_prctl, [PR_SET_SECUREBITS, 1, 0]),
    ];
    let prctl = |option: u64, value: u64| raw::call_numbers(libc::SYS_prctl, &[option, value, 0]);
    inside.fact("securebits before", &prctl(PR_GET_SECUREBITS, 0)?.to_string());
    for (what, number, [first, second, third]) in refused {
        inside.attempt(what, raw::call_numbers(*number, &[*first, *second, *third]));
        let junk = [first | JUNK, *second, *third];
        inside.attempt(&format!("{what}, junk"), raw::call_numbers(*number, &junk));
    }
    inside.attempt("old privileges", prctl(PR_SET_NO_NEW_PRIVS, 0));
    let asked = raw::call_numbers(libc::SYS_personality, &[0xffff_ffff]);
    if let Some(personality) = inside.attempt("ask personality", asked) {
        inside.fact("personality", &personality.to_string());
    }
    inside.attempt("plain personality", raw::call_numbers(libc::SYS_personality, &[0]));
    inside.attempt("dumpable", prctl(PR_SET_DUMPABLE, 1));
    let name = raw::Argument::Text(c"another");
    let named = raw::call(libc::SYS_prctl, &mut [raw::Argument::Number(PR_SET_NAME), name]);
    inside.attempt("name", named);
    inside.fact("no_new_privs", &prctl(PR_GET_NO_NEW_PRIVS, 0)?.to_string());
    inside.fact("securebits", &prctl(PR_GET_SECUREBITS, 0)?.to_string());
    Ok(())
}
