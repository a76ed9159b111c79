//! Set what one process may use.
//!
//! Kernel: prlimit(2), proc(5) `oom_score_adj`.
//! Here because: after `root` (the sandbox's own proc is mounted), before `split`, so that init is
//! limited too, and before `identity`, which loses root's right to write the score.
//! Proves: [`Limited`].

use super::root::Rooted;
use crate::failure::At;
use alloc::format;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Resource as Kernel;
use rustix::process::{DumpableBehavior, Rlimit as KernelLimit, set_dumpable_behavior, setrlimit};
use sandboxd_plan::{Call, Failure, Limits, Resource, Rlimit, Stage};

const AT: At = At(Stage::Limits);

/// Proof: the planned limits hold for this process and whatever it starts.
#[must_use]
pub(crate) struct Limited(());

pub(crate) fn set(_: Rooted, plan: &Limits) -> Result<Limited, Failure> {
    for limit in &plan.rlimits {
        set_one(*limit)?;
    }
    score(plan.oom_score_adj)?;
    Ok(Limited(()))
}

fn set_one(Rlimit { resource, value }: Rlimit) -> Result<(), Failure> {
    let both = Some(value).filter(|value| *value != u64::MAX);
    setrlimit(kernel(resource), KernelLimit { current: both, maximum: both })
        .map_err(AT.errno(Call::Prlimit, format!("{resource:?}")))
}

/// The files of a process that is not dumpable belong to root of the machine, whom the shim of an ordinary
/// user is not. Until the command runs there is nobody in the sandbox who could look in meanwhile; and
/// whoever outside may is root, or owns the user namespace, and may do so anyway.
fn score(adjust: i32) -> Result<(), Failure> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let dumpable = |behavior| {
        set_dumpable_behavior(behavior).map_err(AT.errno(Call::Prctl, "PR_SET_DUMPABLE"))
    };
    dumpable(DumpableBehavior::Dumpable)?;
    let file = rustix::fs::openat(CWD, FILE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    dumpable(DumpableBehavior::NotDumpable)?;
    let file = file.map_err(AT.errno(Call::Open, FILE))?;
    rustix::io::write(&file, format!("{adjust}").as_bytes())
        .map_err(AT.errno(Call::Write, FILE))
        .map(drop)
}

fn kernel(resource: Resource) -> Kernel {
    match resource {
        Resource::Core => Kernel::Core,
        Resource::Cpu => Kernel::Cpu,
        Resource::Fsize => Kernel::Fsize,
        Resource::Memlock => Kernel::Memlock,
        Resource::Msgqueue => Kernel::Msgqueue,
        Resource::Nice => Kernel::Nice,
        Resource::Nofile => Kernel::Nofile,
        Resource::Nproc => Kernel::Nproc,
        Resource::Rtprio => Kernel::Rtprio,
        Resource::Sigpending => Kernel::Sigpending,
        Resource::Stack => Kernel::Stack,
    }
}
