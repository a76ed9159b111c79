//! Confine what may be opened, and who may be reached.
//!
//! Kernel: Landlock, landlock(7) (5.13; the plan asks for exactly what this host's ABI has).
//! Here because: after `root` (a confined task cannot mount) and `identity` (`no_new_privs`), before
//! `seccomp` (whose filter need not allow making a ruleset).
//! Proves: [`Confined`].

use super::identity::Demoted;
use crate::failure::At;
use rustix::fd::AsFd;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sandboxd_kernel::landlock::Ruleset;
use sandboxd_plan::{Call, Failure, Kind, Landlock, Layers, PathRule, Stage};

const AT: At = At(Stage::Landlock);

/// Proof: every ruleset holds for this process and whatever it starts.
#[must_use]
pub(crate) struct Confined(());

pub(crate) fn confine(_: Demoted, layers: &Layers<Landlock>) -> Result<Confined, Failure> {
    layers.iter().try_for_each(|layer| restrict(&layer.rules, &layer.of, AT)).map(Confined)
}

/// Puts this process, and whatever it starts, under one ruleset more.
pub(super) fn restrict(plan: &Landlock, of: &str, at: At) -> Result<(), Failure> {
    if (plan.handled_fs, plan.handled_net, plan.scoped) == (0, 0, 0) {
        // A ruleset of nothing, which the kernel does not take: the operator waived Landlock.
        return Ok(());
    }
    let ruleset = Ruleset::create(plan.handled_fs, plan.handled_net, plan.scoped)
        .map_err(at.errno(Call::LandlockCreateRuleset, format_args!("ruleset of {of}")))?;
    for rule in &plan.paths {
        allow(&ruleset, rule, at)?;
    }
    for rule in &plan.ports {
        ruleset
            .allow_port(rule.port, rule.rights)
            .map_err(at.errno(Call::LandlockAddRule, rule.port))?;
    }
    ruleset
        .restrict(plan.flags)
        .map_err(at.errno(Call::LandlockRestrictSelf, format_args!("ruleset of {of}")))
}

/// Opens what a rule names; a path that cannot be opened is a failure, never a rule less.
fn allow(ruleset: &Ruleset, rule: &PathRule, at: At) -> Result<(), Failure> {
    let PathRule { path, kind, rights } = rule;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(CWD, path.as_str(), flags, Mode::empty(), resolve)
        .map_err(at.errno(Call::Open, path))?;
    let stat = rustix::fs::fstat(&opened).map_err(at.errno(Call::Stat, path))?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    match (kind, directory) {
        (Kind::Directory, false) => return Err(at.errno(Call::Stat, path)(Errno::NOTDIR)),
        (Kind::File, true) => return Err(at.errno(Call::Stat, path)(Errno::ISDIR)),
        (Kind::Directory, true) | (Kind::File, false) => {}
    }
    ruleset.allow_beneath(opened.as_fd(), *rights).map_err(at.errno(Call::LandlockAddRule, path))
}
