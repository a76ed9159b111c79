//! Read the plan.
//!
//! Kernel: memfd_create(2) with seals, fcntl(2).
//! Here because: it is what everything else is made from. The supervisor wrote it, and the seals say
//! that nobody has changed it since.

use crate::failure::At;
use alloc::vec::Vec;
use rustix::buffer::spare_capacity;
use rustix::fs::SealFlags;
use rustix::io::retry_on_intr;
use sandboxd_kernel::fds;
use sandboxd_plan::{Call, Failure, Plan, Stage, wire};

const AT: At = At(Stage::Session);

/// The plan in descriptor 3, which is closed.
pub(crate) fn read() -> Result<Plan, Failure> {
    let file = fds::take(sandboxd_plan::fds::PLAN).map_err(AT.errno(Call::ReadPlan, "plan"))?;
    let seals = rustix::fs::fcntl_get_seals(&file).map_err(AT.errno(Call::Fcntl, "plan"))?;
    if !seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL) {
        return Err(AT.because(Call::ReadPlan, "the plan is not sealed"));
    }
    let mut bytes = Vec::with_capacity(wire::MOST + 1);
    loop {
        let read = retry_on_intr(|| rustix::io::read(&file, spare_capacity(&mut bytes)))
            .map_err(AT.errno(Call::ReadPlan, "plan"))?;
        if read == 0 || bytes.len() > wire::MOST {
            break;
        }
    }
    wire::decode(&bytes).map_err(|error| AT.because(Call::ReadPlan, error))
}
