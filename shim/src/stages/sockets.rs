//! Give the command the sockets that somebody listens at for it, sd_listen_fds(3).
//!
//! Kernel: dup3(2).
//! Here because: in `exec`, after the word to go. The command looks for them from descriptor 3 on, where
//! the shim has its own until then.
//! Proves: nothing; it returns only where the command was not executed.

use super::split::PINNED;
use crate::failure::At;
use core::convert::Infallible;
use sandboxd_kernel::fds;
use sandboxd_plan::fds::{PLAN, REPORT};
use sandboxd_plan::{Call, Exec, Failure, Stage};

const AT: At = At(Stage::Exec);

/// Lets `execute` find the sockets in place, and whatever lies there out of the way; it is told where the
/// pinned program is. Returns only where the command was not executed.
pub(super) fn laid(
    plan: &Exec,
    execute: impl FnOnce(i32) -> Result<Infallible, Failure>,
) -> Result<Infallible, Failure> {
    let first = PINNED + i32::from(plan.pinned.is_some());
    // Nothing has this number, or the next.
    let report = plan.sockets.iter().fold(first, |number, _| number + 1);
    let pinned = report + 1;
    if plan.pinned.is_some() {
        fds::move_to(PINNED, pinned).map_err(AT.errno(Call::Fcntl, "pinned"))?;
    }
    fds::move_to(REPORT, report).map_err(AT.errno(Call::Fcntl, "report"))?;
    let placed = (PLAN..).zip(first..report).try_for_each(|(to, from)| fds::pass_as(from, to));
    let failed = placed.map_err(AT.errno(Call::Fcntl, "sockets")).and_then(|()| execute(pinned));
    // The supervisor is told where it always is.
    fds::move_to(report, REPORT).map_err(AT.errno(Call::Fcntl, "report"))?;
    failed
}
