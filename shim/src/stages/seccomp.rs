//! Install the finished filter.
//!
//! Kernel: seccomp(2) mode 2 (3.5), `SECCOMP_FILTER_FLAG_LOG` (4.14).
//! Here because: last of the layers, so that it need not allow what the earlier stages used.
//! Proves: [`Sealed`].

use super::landlock::Confined;
use crate::failure::At;
use alloc::vec::Vec;
use sandboxd_kernel::seccomp::{self, Instruction};
use sandboxd_plan::{Call, Failure, Filter, Stage};

const AT: At = At(Stage::Seccomp);

/// Proof: every layer is on.
#[must_use]
pub(crate) struct Sealed(());

pub(crate) fn seal(_: Confined, filter: &Filter) -> Result<Sealed, Failure> {
    let program: Vec<Instruction> = filter
        .instructions()
        .iter()
        .map(|step| Instruction { code: step.code, jt: step.jt, jf: step.jf, k: step.k })
        .collect();
    seccomp::install(&program).map_err(AT.errno(Call::Seccomp, "filter"))?;
    Ok(Sealed(()))
}
