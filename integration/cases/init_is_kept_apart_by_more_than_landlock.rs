//! Init cannot be traced, looked into or ended by the command where there is no Landlock and both are one
//! user, as they are in an ordinary user's sandbox.
//!
//! Layers: that init is not dumpable, and that it is PID 1. The filter lets debuggers be.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandboxd_integration::{By, Case, Fault, Inside, Outside, raw};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["F05", "P02", "P04", "P06"],
    outside,
    probes: &[("attack", attack)],
    by: By::Anybody,
    ..Case::NEW
};

const PROFILE: &str = "extends = [\"builtin:base\"]\n[syscalls]\nallow = [\"@debug\"]\n\
                       [require]\nlandlock = \"if-available\"\n";

fn outside(outside: &Outside) -> Result<()> {
    let without = Fault::of(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
    let run = outside.sandbox(PROFILE).probe("attack", &[]).fault(without).run()?;
    run.ran()?.allowed("look at itself")?;
    let waived = run.receipt.as_ref().map(|receipt| receipt["waived"].to_string());
    ensure!(waived.is_some_and(|waived| waived.contains("require.landlock")), "Landlock was there");
    for attempt in
        ["attach", "seize", "a descriptor", "mem", "environ", "maps", "fd", "root", "exe"]
    {
        run.refused(attempt, &[Errno::EPERM, Errno::EACCES])?;
    }
    // It came to its end, and so init was there to the last.
    ensure!(run.fact("after all signals")? == "init lives", "{}", run.stdout);
    Ok(())
}

fn attack(inside: &Inside) -> Result<()> {
    let init = Pid::from_raw(1);
    // Evidence that the files themselves are there to be opened.
    inside.attempt("look at itself", fs::File::open("/proc/self/environ"));
    for file in ["mem", "environ", "maps"] {
        inside.attempt(file, fs::File::open(format!("/proc/1/{file}")));
    }
    inside.attempt("fd", fs::read_dir("/proc/1/fd"));
    for link in ["root", "exe"] {
        inside.attempt(link, fs::read_link(format!("/proc/1/{link}")));
    }
    inside.attempt("attach", ptrace::attach(init));
    inside.attempt("seize", ptrace::seize(init, ptrace::Options::empty()));
    inside.attempt("a descriptor", raw::descriptor_of(init, 5));
    for signal in Signal::iterator() {
        // The kernel says that it was sent, and drops it.
        kill(init, signal).ok();
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    let status = fs::read_to_string("/proc/1/status")?;
    let lives = status.lines().any(|line| line.starts_with("State:\tS"));
    inside.fact("after all signals", if lives { "init lives" } else { &status });
    Ok(())
}
