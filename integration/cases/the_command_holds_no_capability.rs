//! The command holds no capability, has no group and no way to get any, and cannot become anybody
//! else.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::unistd::{Gid, Uid};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;

pub(crate) const CASE: Case = Case {
    rows: &["V02", "V03", "E29"],
    outside,
    probes: &[("gain", gain)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("gain", &[]).run()?;
    run.ran()?;
    let status = run.fact("status")?;
    let field = |name: &str| -> Vec<&str> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("?").split_whitespace().collect()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        ensure!(field(set) == ["0000000000000000"], "{set} {:?}", field(set));
    }
    ensure!(field("NoNewPrivs") == ["1"] && field("Seccomp") == ["2"], "not sealed");
    // Leaving a group takes root; that a user's stay is said.
    let left = outside.is_user() || field("Groups").is_empty();
    ensure!(left, "groups {:?}", field("Groups"));
    for ids in ["Uid", "Gid"] {
        let ids = field(ids);
        ensure!(ids.len() == 4 && ids.iter().all(|id| Some(id) == ids.first()), "{ids:?}");
    }
    for attempt in ["setuid", "setgid", "setgroups", "setresuid"] {
        // In a user's namespace there is nobody else to become.
        run.refused(attempt, &[Errno::EPERM, Errno::EINVAL])?;
    }
    Ok(())
}

fn gain(inside: &Inside) -> Result<()> {
    inside.fact("status", &fs::read_to_string("/proc/self/status")?);
    let root = (Uid::from_raw(0), Gid::from_raw(0));
    inside.attempt("setuid", nix::unistd::setuid(root.0));
    inside.attempt("setgid", nix::unistd::setgid(root.1));
    inside.attempt("setgroups", nix::unistd::setgroups(&[root.1]));
    inside.attempt("setresuid", nix::unistd::setresuid(root.0, root.0, root.0));
    Ok(())
}
