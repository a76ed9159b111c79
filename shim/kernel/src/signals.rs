//! Signal dispositions and the mask, signal(7): what a process starts with is its parent's.

use crate::syscall::syscall;
use rustix::io::{Errno, Result};

const LAST: usize = 64;
const SET_SIZE: usize = 8;

/// Gives every signal its default action and unblocks all of them.
///
/// # Errors
/// None that a kernel gives for these arguments; an outer filter may.
pub fn reset() -> Result<()> {
    /// `struct kernel_sigaction`, all zero: `SIG_DFL`, no flags, no mask.
    const DEFAULT: [usize; 4] = [0; 4];
    for signal in 1..=LAST {
        let arguments = [signal, DEFAULT.as_ptr().addr(), 0, SET_SIZE, 0, 0];
        // SAFETY: the kernel reads one `struct kernel_sigaction` of 32 bytes, which DEFAULT is, and
        // installs no handler.
        match unsafe { syscall(libc::SYS_rt_sigaction, arguments) } {
            // SIGKILL and SIGSTOP cannot be changed.
            Ok(_) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    set_mask(0).map(drop)
}

/// Blocks every signal and tells which were blocked before, bit n-1 for signal n.
///
/// # Errors
/// None that a kernel gives for these arguments; an outer filter may.
pub fn block_all() -> Result<u64> {
    set_mask(u64::MAX)
}

/// Blocks exactly these signals, bit n-1 for signal n, and tells which were blocked before.
///
/// # Errors
/// None that a kernel gives for these arguments; an outer filter may.
pub fn set_mask(mask: u64) -> Result<u64> {
    const SIG_SETMASK: usize = 2;
    let mut before: u64 = 0;
    let arguments =
        [SIG_SETMASK, (&raw const mask).addr(), (&raw mut before).addr(), SET_SIZE, 0, 0];
    // SAFETY: the kernel reads eight bytes from `mask` and writes eight to `before`.
    unsafe { syscall(libc::SYS_rt_sigprocmask, arguments) }?;
    Ok(before)
}

/// A descriptor that becomes readable when one of these signals, which must be blocked, is pending;
/// signalfd(2). Bit n-1 for signal n.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn descriptor(mask: u64) -> Result<rustix::fd::OwnedFd> {
    use rustix::fd::FromRawFd;
    const SFD_CLOEXEC_NONBLOCK: usize = 0o2_004_000;
    let new = usize::MAX;
    let arguments = [new, (&raw const mask).addr(), SET_SIZE, SFD_CLOEXEC_NONBLOCK, 0, 0];
    // SAFETY: the kernel reads eight bytes from `mask` and answers with a descriptor that is new.
    let fd = unsafe { syscall(libc::SYS_signalfd4, arguments) }?;
    let fd = i32::try_from(fd).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { rustix::fd::OwnedFd::from_raw_fd(fd) })
}

/// Stops the caller's process group, as ^Z would: itself by the default action of `SIGTSTP`, which the
/// kernel does not take in a group that nobody could continue (setpgid(2), orphaned). Returns when the
/// caller is continued, or at once.
///
/// # Errors
/// None that a kernel gives for these arguments; an outer filter may.
pub fn stop_group() -> Result<()> {
    const SIGTSTP: usize = 20;
    const DEFAULT: [usize; 4] = [0; 4];
    let mut before = [0_usize; 4];
    let arguments = [SIGTSTP, DEFAULT.as_ptr().addr(), before.as_mut_ptr().addr(), SET_SIZE, 0, 0];
    // SAFETY: the kernel reads and writes one `struct kernel_sigaction` of 32 bytes each.
    unsafe { syscall(libc::SYS_rt_sigaction, arguments) }?;
    // SAFETY: kill takes two integers.
    let stopped = unsafe { syscall(libc::SYS_kill, [0, SIGTSTP, 0, 0, 0, 0]) };
    let arguments = [SIGTSTP, before.as_ptr().addr(), 0, SET_SIZE, 0, 0];
    // SAFETY: the kernel reads the action that it wrote above.
    unsafe { syscall(libc::SYS_rt_sigaction, arguments) }?;
    stopped.map(drop)
}
