//! Whatever call of its start fails, the command is not run, or runs behind every layer.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside, Program, Run, Then, steps};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["C05", "C07", "E8", "E33"],
    seconds: 240,
    outside,
    probes: &[("act", act)],
    by: By::Anybody,
    ..Case::NEW
};

/// What a call fails with, in turn.
const ERRNOS: [Errno; 5] =
    [Errno::ENOMEM, Errno::EMFILE, Errno::ENOSPC, Errno::EINTR, Errno::EPERM];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let canary = outside.canary("secret")?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let arguments = [ws.to_str().unwrap_or_default(), &canary.path().to_string_lossy()];
    let done = ws.join("done");
    let act = || outside.sandbox(&profile).probe("act", &arguments);
    let mut numbers = Vec::new();
    let whole = act().stepped(|step| {
        if step.program == Program::Shim && !done.exists() {
            numbers.push(step.number);
        }
        Then::Go
    })?;
    is_confined(&whole)?;
    ensure!(numbers.len() > 100, "the shim makes only {} calls", numbers.len());
    for (turn, wanted) in steps::chosen(&numbers).into_iter().enumerate() {
        let Some(&errno) = ERRNOS.get(turn % ERRNOS.len()) else { continue };
        if done.exists() {
            fs::remove_file(&done)?;
        }
        let mut at = 0;
        let mut call = 0;
        let run = act().stepped(|step| {
            at += usize::from(step.program == Program::Shim);
            let now = at == wanted + 1 && step.program == Program::Shim;
            // umask(2) cannot fail.
            if !now || i64::from(step.number) == libc::SYS_umask {
                return Then::Go;
            }
            call = step.number;
            Then::Fail(errno)
        })?;
        let judged = if done.exists() { is_confined(&run) } else { did_not_run(&run) };
        judged.with_context(|| format!("step {wanted}, call {call}, {errno:?}"))?;
    }
    Ok(())
}

/// The command ran, and every layer held.
fn is_confined(run: &Run) -> Result<()> {
    run.ran()?.allowed("act")?.refused("canary", &[Errno::ENOENT])?;
    run.refused("socket", &[Errno::EAFNOSUPPORT])?.refused("mount", &[Errno::EPERM])?;
    let status = run.fact("status")?;
    for line in
        ["CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        ensure!(status.contains(line), "not so: {line}");
    }
    Ok(())
}

/// Nothing ran, which is 126 where it was the execve(2) itself that failed.
fn did_not_run(run: &Run) -> Result<()> {
    if run.exit() != Some(126) {
        run.not_started()?;
    }
    for line in ["  stage   ", "  call    ", "  remedy  "] {
        ensure!(run.stderr.contains(line), "the message has no line{line}");
    }
    Ok(())
}

fn act(inside: &Inside) -> Result<()> {
    inside.attempt("act", fs::write(inside.path(0)?.join("done"), "x"));
    inside.attempt("canary", fs::read(inside.path(1)?));
    inside.attempt("socket", std::net::UdpSocket::bind("127.0.0.1:0"));
    let none: Option<&str> = None;
    inside.attempt(
        "mount",
        nix::mount::mount(none, "/tmp", Some("tmpfs"), nix::mount::MsFlags::empty(), none),
    );
    inside.fact("status", &fs::read_to_string("/proc/self/status")?);
    Ok(())
}
