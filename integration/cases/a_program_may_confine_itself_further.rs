//! A program may lay filters and Landlock layers of its own upon itself, eight at least, and none of
//! them gives back what the sandbox refuses.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Need, Outside};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["P20", "P21"],
    needs: &[Need::Landlock(1)],
    outside,
    probes: &[("confine", confine)],
    by: By::Anybody,
    ..Case::NEW
};

/// Layers that a program can count on.
const LAYERS: u32 = 8;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("ws/notes.txt")?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nread = [{ws:?}]\n");
    let run =
        outside.sandbox(&profile).probe("confine", &[&canary.path().to_string_lossy()]).run()?;
    run.ran()?.allowed("read")?.allowed("filter")?;
    run.refused("ptrace", &[Errno::EPERM])?.refused("filtered ptrace", &[Errno::EPERM])?;
    run.refused("write", &[Errno::EROFS, Errno::EACCES])?;
    let layers: u32 = run.fact("layers")?.parse()?;
    ensure!(layers >= LAYERS, "only {layers} Landlock layers are left");
    run.refused("confined read", &[Errno::EACCES])?;
    run.refused("confined ptrace", &[Errno::EPERM])?;
    canary.unchanged()
}

fn confine(inside: &Inside) -> Result<()> {
    let file = inside.path(0)?;
    let traceme = || raw::call_numbers(libc::SYS_ptrace, &[0, 0, 0, 0]);
    inside.attempt("read", fs::read(file));
    inside.attempt("ptrace", traceme());
    // A filter that lets everything through, BPF_RET | BPF_K.
    let mut all = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    inside.attempt("filter", raw::filter(&mut all, false));
    inside.attempt("filtered ptrace", traceme());
    inside.attempt("write", fs::OpenOptions::new().append(true).open(file));

    let mut layers = 0;
    while layers < 64 && restrict().is_ok() {
        layers += 1;
    }
    inside.fact("layers", &layers.to_string());
    inside.attempt("confined read", fs::read(file));
    inside.attempt("confined ptrace", traceme());
    Ok(())
}

/// Lays a Landlock layer upon this process under which it may open no file to read it.
fn restrict() -> Result<()> {
    const READ_FILE: u64 = 1 << 2;
    let handled = READ_FILE.to_ne_bytes();
    let mut words = [Argument::Bytes(&handled), Argument::Number(8), Argument::Number(0)];
    let ruleset = raw::call(libc::SYS_landlock_create_ruleset, &mut words)?;
    let words = [ruleset.cast_unsigned(), 0];
    let restricted = raw::call_numbers(libc::SYS_landlock_restrict_self, &words);
    raw::call_numbers(libc::SYS_close, &[ruleset.cast_unsigned()])?;
    restricted.map(drop).context("landlock_restrict_self")
}
