//! What a command sets on a pipe that its caller has too, not to wait for one, is not set for whoever uses it next.

use anyhow::{Result, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::io::{self, Read as _};
use std::os::fd::AsFd;

pub(crate) const CASE: Case =
    Case { rows: &["F35", "T07"], outside, probes: &[("set", set)], by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let (from, to) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let sandbox = outside.sandbox("extends = [\"builtin:base\"]\n").client(from.try_clone()?);
    let running = sandbox.probe("set", &[]).start()?;
    nix::unistd::write(&to, b"read on")?;
    drop(to);
    let run = running.wait()?;
    run.ran()?.allowed("not to wait")?;
    ensure!(run.fact("read")? == "read on", "it is another pipe");
    ensure!(!flags(&from)?.contains(OFlag::O_NONBLOCK), "the caller's pipe does not wait any more");
    Ok(())
}

fn flags(pipe: impl AsFd) -> Result<OFlag> {
    Ok(OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL)?))
}

fn set(inside: &Inside) -> Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    inside.fact("read", &text);
    let flags = flags(io::stdin())? | OFlag::O_NONBLOCK;
    inside.attempt("not to wait", fcntl(io::stdin(), FcntlArg::F_SETFL(flags)));
    Ok(())
}
