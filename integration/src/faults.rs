//! Calls of the product that are made to fail: a filter laid around it from outside.

use crate::raw;
use libc::sock_filter;
use serde::{Deserialize, Serialize};
use std::io;

/// A system call that fails with an errno, wherever the product makes it with these arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    number: u32,
    errno: u16,
    when: Vec<(u8, u32)>,
}

impl Fault {
    /// The call of this number (`libc::SYS_…`) fails with this errno (`libc::E…`).
    #[must_use]
    pub fn of(number: i64, errno: i32) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let errno = u16::try_from(errno).unwrap_or(u16::MAX);
        Self { number, errno, when: Vec::new() }
    }

    /// Only where the lower half of this argument, counted from 0, is this.
    #[must_use]
    pub fn when(mut self, argument: u8, value: u32) -> Self {
        self.when.push((argument, value));
        self
    }

    /// Compares the number, then each argument; falls through to what follows where one differs.
    fn instructions(&self) -> io::Result<Vec<sock_filter>> {
        let mut block = vec![ret(libc::SECCOMP_RET_ERRNO | u32::from(self.errno))];
        let compare = |offset, value, block: &mut Vec<sock_filter>| {
            let past = u8::try_from(block.len()).map_err(io::Error::other)?;
            block.insert(0, step(JUMP_IF_EQUAL, 0, past, value));
            block.insert(0, step(LOAD, 0, 0, offset));
            io::Result::Ok(())
        };
        for (argument, value) in &self.when {
            compare(16 + 8 * u32::from(*argument), *value, &mut block)?;
        }
        compare(0, self.number, &mut block)?;
        Ok(block)
    }
}

/// Lays the faults around this process and whatever it starts.
pub(crate) fn install(faults: &[Fault]) -> io::Result<()> {
    let mut program = Vec::new();
    for fault in faults {
        program.extend(fault.instructions()?);
    }
    program.push(ret(libc::SECCOMP_RET_ALLOW));
    raw::filter(&mut program, false).map(drop)
}

/// Calls that a stepped process makes without anybody's leave: those by which the launcher waits for
/// the listener, and those that come too often to be of interest.
const UNWATCHED: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_close,
];

/// Lets somebody outside decide on every call of this process and whatever it starts. The
/// descriptor by which that is done.
pub(crate) fn listen() -> io::Result<i64> {
    let mut program = vec![step(LOAD, 0, 0, 0)];
    for (at, number) in UNWATCHED.iter().enumerate() {
        let past = u8::try_from(UNWATCHED.len() - at).map_err(io::Error::other)?;
        let number = u32::try_from(*number).map_err(io::Error::other)?;
        program.push(step(JUMP_IF_EQUAL, past, 0, number));
    }
    program.push(ret(libc::SECCOMP_RET_USER_NOTIF));
    program.push(ret(libc::SECCOMP_RET_ALLOW));
    raw::filter(&mut program, true)
}

/// `BPF_LD | BPF_W | BPF_ABS`.
pub(crate) const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(crate) const JUMP_IF_EQUAL: u16 = 0x15;

pub(crate) const fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// `BPF_RET | BPF_K`.
pub(crate) const fn ret(verdict: u32) -> sock_filter {
    step(0x06, 0, 0, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_jumps_past_its_own_end_only() {
        let steps = Fault::of(5, 38).when(2, 7).instructions().unwrap();
        let shape: Vec<_> = steps.iter().map(|step| (step.code, step.jf, step.k)).collect();
        assert_eq!(
            shape,
            [
                (LOAD, 0, 0),
                (JUMP_IF_EQUAL, 3, 5),
                (LOAD, 0, 32),
                (JUMP_IF_EQUAL, 1, 7),
                (0x06, 0, libc::SECCOMP_RET_ERRNO | 38)
            ]
        );
    }
}
