//! A stage that fails runs nothing, and the message names the stage, the call and the errno.

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Fault, Inside, Outside};
use std::fs;

pub(crate) const CASE: Case =
    Case { rows: &["C06", "C07"], outside, probes: &[("act", act)], by: By::Anybody, ..Case::NEW };

/// What is made to fail, and what the message then says.
struct Broken {
    fault: fn() -> Fault,
    stage: &'static str,
    call: &'static str,
    errno: Errno,
}

const BROKEN: &[Broken] = &[
    Broken {
        fault: || Fault::of(libc::SYS_landlock_restrict_self, libc::E2BIG),
        stage: "landlock",
        call: "landlock_restrict_self",
        errno: Errno::E2BIG,
    },
    Broken {
        fault: || Fault::of(libc::SYS_prctl, libc::EPERM).when(0, 38),
        stage: "identity",
        call: "prctl",
        errno: Errno::EPERM,
    },
    Broken {
        fault: || Fault::of(libc::SYS_setresuid, libc::EAGAIN),
        stage: "identity",
        call: "setresuid",
        errno: Errno::EAGAIN,
    },
    Broken {
        fault: || Fault::of(libc::SYS_seccomp, libc::ENOMEM).when(0, 1),
        stage: "seccomp",
        call: "seccomp",
        errno: Errno::ENOMEM,
    },
];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let profile = format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n");
    let sandbox = || outside.sandbox(&profile).probe("act", &[ws.to_str().unwrap_or_default()]);
    let done = ws.join("done");
    for Broken { fault, stage, call, errno } in BROKEN {
        sandbox().fault(fault()).run()?.failed_in(stage, call, *errno).context(*call)?;
        ensure!(!done.exists(), "{call} failed, and the command ran");
    }
    // Without any fault it acts, so that the above could have been seen.
    sandbox().run()?.ran()?.allowed("act")?;
    ensure!(done.exists(), "the command did not act where it may");
    Ok(())
}

fn act(inside: &Inside) -> Result<()> {
    inside.attempt("act", fs::write(inside.path(0)?.join("done"), "x"));
    Ok(())
}
