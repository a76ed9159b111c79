//! System calls by the doors of other ABIs, `int 0x80` and x32, end the process whatever the call.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside, Trial, raw};

pub(crate) const CASE: Case = Case {
    rows: &["P16", "P17", "E9"],
    outside,
    probes: &[("enter", enter)],
    by: By::Anybody,
    ..Case::NEW
};

/// getpid, openat, socketcall, ptrace, mkdir and unshare of i386.
const I386: &[u32] = &[20, 295, 102, 26, 39, 310];

/// getpid, openat, socket, ptrace, unshare and bpf, and x32's own execve and ioctl.
const X32: &[i64] = &[39, 257, 41, 101, 272, 321, 520, 514];

/// Marks a number of x32.
const X32_BIT: i64 = 0x4000_0000;

fn outside(outside: &Outside) -> Result<()> {
    // Where the host has no 32-bit door the kernel kills with SIGSEGV by itself.
    let open = Trial::of(|| raw::call_as_i386(20))? == Trial::Done;
    let expected = if open { "SIGSYS" } else { "SIGSEGV" };
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("enter", &[]).run()?;
    run.ran()?;
    for number in I386 {
        let met = run.fact(&format!("i386 {number}"))?;
        ensure!(met == expected, "int 0x80, number {number}: {met}");
    }
    for number in X32 {
        let met = run.fact(&format!("x32 {number}"))?;
        ensure!(met == "SIGSYS", "x32 {number}: {met}");
    }
    ensure!(run.fact("beyond all")? == "SIGSYS", "number -1: {}", run.fact("beyond all")?);
    ensure!(run.fact("own")? == "done", "the own door: {}", run.fact("own")?);
    Ok(())
}

fn enter(inside: &Inside) -> Result<()> {
    for number in I386 {
        let met = Trial::of(|| raw::call_as_i386(*number))?;
        inside.fact(&format!("i386 {number}"), &met.to_string());
    }
    for number in X32 {
        let met = Trial::of(|| raw::call_numbers(number | X32_BIT, &[]))?;
        inside.fact(&format!("x32 {number}"), &met.to_string());
    }
    let beyond = Trial::of(|| raw::call_numbers(i64::from(u32::MAX), &[]))?;
    inside.fact("beyond all", &beyond.to_string());
    let own = Trial::of(|| raw::call_numbers(libc::SYS_getpid, &[]))?;
    inside.fact("own", &own.to_string());
    Ok(())
}
