//! Install the finished filters.
//!
//! Kernel: seccomp(2) mode 2 (3.5).
//! Here because: last of the layers, so that they need not allow what the earlier stages used. Of
//! several, the plan puts the one that does not allow installing a further one last.
//! Where the supervisor answers what the innermost refuses, it is handed what it answers through, and
//! nothing of that stays here.
//! Proves: [`Sealed`].

use super::landlock::Confined;
use crate::failure::At;
use crate::report;
use alloc::vec::Vec;
use rustix::fd::{AsFd, OwnedFd};
use sandboxd_kernel::seccomp::{self, Instruction};
use sandboxd_plan::{Call, Failure, Filter, Layer, Layers, Refusals, Report, Stage};

const AT: At = At(Stage::Seccomp);

/// Proof: every layer is on.
#[must_use]
pub(crate) struct Sealed(());

pub(crate) fn seal(
    _: Confined,
    layers: &Layers<Filter>,
    refusals: &Refusals,
) -> Result<Sealed, Failure> {
    let Refusals::Supervisor(asking) = refusals else {
        return layers.iter().try_for_each(put_on).map(Sealed);
    };
    let outer = layers.iter().count().saturating_sub(1);
    layers.iter().take(outer).try_for_each(put_on)?;
    let listener: OwnedFd = seccomp::install_asking(&program(asking))
        .map_err(AT.errno(Call::Seccomp, "filter that asks"))?;
    report::hand_over(&Report::Refusals, listener.as_fd())
        .map(|()| Sealed(()))
        .map_err(AT.errno(Call::Sendmsg, "refusals"))
}

fn put_on(Layer { of, rules: filter }: &Layer<Filter>) -> Result<(), Failure> {
    seccomp::install(&program(filter))
        .map_err(AT.errno(Call::Seccomp, format_args!("filter of {of}")))
}

fn program(filter: &Filter) -> Vec<Instruction> {
    let steps = filter.instructions().iter();
    steps.map(|step| Instruction { code: step.code, jt: step.jt, jf: step.jf, k: step.k }).collect()
}
