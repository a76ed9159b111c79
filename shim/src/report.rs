//! What the shim says: what it made for the supervisor, one packet before the command runs, and one more where it then
//! cannot.

use crate::failure::At;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use rustix::fd::BorrowedFd;
use rustix::io::{Errno, IoSlice, Result};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use sandboxd_kernel::{fds, process};
use sandboxd_plan::{Answer, Call, Enforced, Failure, Report, Stage};

/// Tells why the command does not run. Nobody is left to tell where that fails, and the exit status
/// says the stage.
pub(crate) fn failed(failure: &Failure) {
    if send(&Report::Failed(failure.clone())).is_err() {
        process::exit(253);
    }
}

/// Tells what holds.
pub(crate) fn enforced(answers: &[Answer]) -> Result<()> {
    send(&Report::Enforced(Enforced { answers: answers.to_vec() }))
}

/// Hands over what was made for the supervisor: the other end of the command's terminal, where its calls arrive, who
/// asks about refused calls, and whatever else has a [`Report`] of its own.
pub(crate) fn hand_over(what: &Report, made: BorrowedFd<'_>) -> Result<()> {
    let packet: Vec<u8> = serde_json::to_vec(what).map_err(|_| Errno::INVAL)?;
    pass(fds::inherited(sandboxd_plan::fds::REPORT)?, &packet, made)
}

/// Sends a packet, and a descriptor in it.
pub(crate) fn pass(to: BorrowedFd<'_>, packet: &[u8], made: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [made];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::MSGSIZE);
    }
    rustix::net::sendmsg(to, &[IoSlice::new(packet)], &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

/// Waits until the supervisor has looked at the sandbox from outside and says `go`.
pub(crate) fn wait_for_go() -> core::result::Result<(), Failure> {
    let at = At(Stage::Exec);
    let socket = fds::inherited(sandboxd_plan::fds::REPORT).map_err(at.errno(Call::Read, "go"))?;
    let mut word = [0_u8; 1];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut word))
        .map_err(at.errno(Call::Read, "go"))?;
    match (read, word) {
        (1, [sandboxd_plan::report::GO]) => Ok(()),
        _ => Err(at.because(Call::Read, "go: the supervisor is gone or refused")),
    }
}

fn send(report: &Report) -> Result<()> {
    let packet: Vec<u8> = serde_json::to_vec(report).map_err(|_| Errno::INVAL)?;
    let socket = fds::inherited(sandboxd_plan::fds::REPORT)?;
    let sent = rustix::io::retry_on_intr(|| rustix::io::write(socket, &packet))?;
    if sent == packet.len() { Ok(()) } else { Err(Errno::MSGSIZE) }
}
