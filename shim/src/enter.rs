//! Every stage, in the only order that type-checks.
//!
//! | stage | before | because |
//! | --- | --- | --- |
//! | session | all | stray descriptors and inherited signal masks would leak into everything after |
//! | namespaces | root | the cgroup is joined and its namespace made while the host's view is still there |
//! | root | landlock | a Landlock-restricted task can no longer mount or pivot |
//! | limits | identity | raising a hard limit or lowering the OOM score takes a capability |
//! | terminal | split | init leads the session whose terminal it is; its child is then in no orphaned group |
//! | split | identity | init and the command get a uid each, so that neither can trace the other |
//! | split: bounding set | identity: setresuid | dropping it needs `CAP_SETPCAP`, lost with uid 0 |
//! | identity: groups, gid | identity: uid | once the uid is gone, the gid cannot be changed |
//! | identity: no_new_privs | landlock, seccomp | both need it, or a capability that is gone |
//! | landlock | seccomp | the filter need not allow what only the ruleset's making uses |
//! | seccomp | self-test | what is tried must be tried behind every layer |
//! | self-test | exec | a layer that does not hold is found before the command runs, not by it |

use crate::failure::At;
use crate::stages::seccomp::Sealed;
use crate::stages::split::{Half, Side};
use crate::stages::{
    exec, identity, landlock, limits, namespaces, plan, root, seccomp, self_test, session, split,
    terminal,
};
use crate::{init, report};
use core::convert::Infallible;
use core::ffi::CStr;
use sandboxd_plan::{Call, Confinement, Failure, Refusals, Stage};

/// Reads the plan and executes it; returns only where that failed.
pub(crate) fn enter() -> Result<Infallible, Failure> {
    let plan = plan::read()?;
    named(Stage::Session, c"session")?;
    let alone = session::begin(&plan.session)?;
    named(Stage::Namespaces, c"namespaces")?;
    let apart = namespaces::complete(alone, &plan.namespaces)?;
    named(Stage::Root, c"root")?;
    let rooted = root::pivot(apart, &plan.root)?;
    named(Stage::Limits, c"limits")?;
    let limited = limits::set(rooted, &plan.limits)?;
    named(Stage::Terminal, c"terminal")?;
    let wired = terminal::open(limited, plan.terminal.as_ref(), plan.command.identity)?;
    named(Stage::Split, c"split")?;
    match split::split(wired, &plan)? {
        Side::Init(half, command) => {
            let sealed = confine(half, &plan.init, &Refusals::Kernel, c"sandboxd-init")?;
            init::ready(sealed, command)
        }
        Side::Command(half) => {
            let sealed = confine(half, &plan.command, &plan.refusals, c"seccomp")?;
            let tested = self_test::run(sealed, &plan)?;
            report::enforced(tested.answers())
                .map_err(At(Stage::SelfTest).errno(Call::Write, "report"))?;
            exec::exec(tested, &plan.exec)
        }
    }
}

/// The three stages that init and the command both go through. The filter of init allows no name
/// after it, so what init is called in the last of them it is called for good.
fn confine(
    half: Half,
    to: &Confinement,
    refusals: &Refusals,
    last: &CStr,
) -> Result<Sealed, Failure> {
    named(Stage::Identity, c"identity")?;
    let demoted = identity::demote(half, to.identity)?;
    named(Stage::Landlock, c"landlock")?;
    let confined = landlock::confine(demoted, &to.landlock)?;
    named(Stage::Seccomp, last)?;
    seccomp::seal(confined, &to.syscalls, refusals)
}

/// Calls this process by the stage it is in, so that whoever looks from outside sees where a start
/// hangs: ps(1), and the supervisor when the time is over.
fn named(stage: Stage, name: &CStr) -> Result<(), Failure> {
    rustix::thread::set_name(name).map_err(At(stage).errno(Call::Prctl, "PR_SET_NAME"))
}
