//! Signal dispositions and the mask, signal(7): what a process starts with is its parent's.

use crate::syscall::syscall;
use rustix::io::{Errno, Result};
use rustix::process::Signal;

const LAST: usize = 64;
const SET_SIZE: usize = 8;

/// Gives every signal its default action and unblocks all of them.
///
/// # Errors
/// None that a kernel gives for these arguments; an outer filter may.
pub fn reset() -> Result<()> {
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

/// `struct kernel_sigaction`: what handles a signal, flags, what gives it back, what is blocked meanwhile.
type Handling = [usize; 4];
/// `SIG_DFL`.
const DEFAULT: Handling = [0; 4];
/// `SIG_IGN`.
const IGNORED: Handling = [1, 0, 0, 0];

/// Has a signal end, stop or leave this process as signal(7) lists it.
///
/// # Errors
/// `EINVAL` for `SIGKILL` and `SIGSTOP`.
pub fn default(signal: Signal) -> Result<()> {
    handle(signal, &DEFAULT).map(drop)
}

/// Ignores a signal from here on.
///
/// # Errors
/// `EINVAL` for `SIGKILL` and `SIGSTOP`.
pub fn ignore(signal: Signal) -> Result<()> {
    handle(signal, &IGNORED).map(drop)
}

/// Catches a signal no longer: it does what it does by default. One that is ignored stays so.
///
/// # Errors
/// `EINVAL` for `SIGKILL` and `SIGSTOP`.
pub fn release(signal: Signal) -> Result<()> {
    let before = handle(signal, &DEFAULT)?;
    if before.first() == IGNORED.first() { ignore(signal) } else { Ok(()) }
}

/// Sets what handles a signal, which is no handler, and tells what did before.
fn handle(signal: Signal, handling: &Handling) -> Result<Handling> {
    let signal = usize::try_from(signal.as_raw()).map_err(|_| Errno::INVAL)?;
    let mut before = DEFAULT;
    let arguments = [signal, handling.as_ptr().addr(), before.as_mut_ptr().addr(), SET_SIZE, 0, 0];
    // SAFETY: the kernel reads and writes one `struct kernel_sigaction` of 32 bytes each.
    unsafe { syscall(libc::SYS_rt_sigaction, arguments) }?;
    Ok(before)
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
    let before = handle(Signal::TSTP, &DEFAULT)?;
    // SAFETY: kill takes two integers.
    let stopped = unsafe { syscall(libc::SYS_kill, [0, SIGTSTP, 0, 0, 0, 0]) };
    let arguments = [SIGTSTP, before.as_ptr().addr(), 0, SET_SIZE, 0, 0];
    // SAFETY: the kernel reads the action that it wrote above.
    unsafe { syscall(libc::SYS_rt_sigaction, arguments) }?;
    stopped.map(drop)
}
