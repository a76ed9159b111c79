//! Install the finished filters.
//!
//! Kernel: seccomp(2) mode 2 (3.5), `SECCOMP_FILTER_FLAG_LOG` (4.14).
//! Here because: last of the layers, so that they need not allow what the earlier stages used. Of
//! several, the plan puts the one that does not allow installing a further one last.
//! Proves: [`Sealed`].

use super::landlock::Confined;
use crate::failure::At;
use alloc::vec::Vec;
use sandboxd_kernel::seccomp::{self, Instruction};
use sandboxd_plan::{Call, Failure, Filter, Layer, Layers, Stage};

const AT: At = At(Stage::Seccomp);

/// Proof: every layer is on.
#[must_use]
pub(crate) struct Sealed(());

pub(crate) fn seal(_: Confined, layers: &Layers<Filter>) -> Result<Sealed, Failure> {
    layers.iter().try_for_each(put_on).map(Sealed)
}

fn put_on(Layer { of, rules: filter }: &Layer<Filter>) -> Result<(), Failure> {
    let program: Vec<Instruction> = filter
        .instructions()
        .iter()
        .map(|step| Instruction { code: step.code, jt: step.jt, jf: step.jf, k: step.k })
        .collect();
    seccomp::install(&program).map_err(AT.errno(Call::Seccomp, format_args!("filter of {of}")))
}
