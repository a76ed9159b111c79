//! Descriptors by number: what a process was started with, and closing all the rest.

use crate::syscall::syscall;
use rustix::event::PollFlags;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};

/// Closes every descriptor from `first` on, `close_range(2)` (kernel 5.9).
///
/// Only for the start of a program that owns nothing yet: an [`OwnedFd`] above `first` would be left
/// dangling.
///
/// # Errors
/// `ENOSYS` before kernel 5.9.
pub fn close_from(first: i32) -> Result<()> {
    let first = usize::try_from(first).map_err(|_| Errno::BADF)?;
    // SAFETY: close_range takes three integers; closing touches no memory of ours, and the caller
    // owns no descriptor in the range.
    unsafe { syscall(libc::SYS_close_range, [first, 0xffff_ffff, 0, 0, 0, 0]) }.map(drop)
}

/// A descriptor that this process was started with and never closes.
///
/// # Errors
/// `EBADF` where nothing is open under that number.
pub fn inherited(number: i32) -> Result<BorrowedFd<'static>> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is not -1; that it is open is checked right below, and by the contract of
    // the start nobody closes it.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_getfd(fd)?;
    Ok(fd)
}

/// Takes ownership of a descriptor this process was started with, and closes it on exec from now on.
///
/// To be called once for each number.
///
/// # Errors
/// `EBADF` where nothing is open under that number.
pub fn take(number: i32) -> Result<OwnedFd> {
    use rustix::fd::FromRawFd;
    let fd = inherited(number)?;
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: the descriptor is open, and by the contract of this function nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Moves a descriptor this process was started with to another number, which is closed first where it
/// is open; closed on exec.
///
/// # Errors
/// `EBADF` where nothing is open under the number.
pub fn move_to(from: i32, to: i32) -> Result<()> {
    const O_CLOEXEC: usize = 0o2_000_000;
    if from == to {
        return rustix::io::fcntl_setfd(inherited(from)?, rustix::io::FdFlags::CLOEXEC);
    }
    renumber(from, to, O_CLOEXEC)
}

/// Moves a descriptor this process was started with to where the program that is executed next finds it.
///
/// # Errors
/// `EBADF` where nothing is open under the number; `EINVAL` where it is there already.
pub fn pass_as(from: i32, to: i32) -> Result<()> {
    renumber(from, to, 0)
}

fn renumber(from: i32, to: i32, flags: usize) -> Result<()> {
    let fd = inherited(from)?;
    let to = usize::try_from(to).map_err(|_| Errno::BADF)?;
    // SAFETY: dup3 takes three integers; whatever was open under `to` was one of the descriptors this
    // process was started with, which no value of ours owns.
    unsafe { syscall(libc::SYS_dup3, [number(fd), to, flags, 0, 0, 0]) }?;
    take(from).map(drop)
}

/// Lays a copy of a descriptor over one of the standard three, which stays open across an execve.
///
/// # Errors
/// `EBADF` for any other number.
pub fn copy_to(from: BorrowedFd<'_>, stream: i32) -> Result<()> {
    let to = usize::try_from(stream).ok().filter(|to| *to < 3).ok_or(Errno::BADF)?;
    // SAFETY: dup2 takes two integers; the standard three are owned by no value of ours.
    unsafe { syscall(libc::SYS_dup2, [number(from), to, 0, 0, 0, 0]) }.map(drop)
}

/// Marks every descriptor from `first` on to be closed by the next execve,
/// `close_range(CLOSE_RANGE_CLOEXEC)` (kernel 5.11).
///
/// # Errors
/// `EINVAL` before kernel 5.11.
pub fn close_on_exec_from(first: i32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    let first = usize::try_from(first).map_err(|_| Errno::BADF)?;
    // SAFETY: close_range takes three integers and with this flag closes nothing.
    unsafe { syscall(libc::SYS_close_range, [first, 0xffff_ffff, CLOSE_RANGE_CLOEXEC, 0, 0, 0]) }
        .map(drop)
}

/// How many of the first 1024 descriptors are open, found with a single `poll(2)`.
///
/// # Errors
/// `EINVAL` where fewer than 1024 descriptors may be open at all (`RLIMIT_NOFILE`); the number then
/// asked for is the caller's affair.
pub fn open_among(numbers: core::ops::Range<i32>) -> Result<usize> {
    let mut polled = [libc::pollfd { fd: -1, events: 0, revents: 0 }; 1024];
    let mut count = 0;
    for (slot, number) in polled.iter_mut().zip(numbers) {
        slot.fd = number;
        count += 1;
    }
    // SAFETY: the kernel reads and writes the first `count` elements of `polled`, which has 1024.
    unsafe { syscall(libc::SYS_poll, [polled.as_mut_ptr().addr(), count, 0, 0, 0, 0]) }?;
    let closed = PollFlags::NVAL.bits();
    Ok(polled.iter().take(count).filter(|slot| slot.revents.cast_unsigned() & closed == 0).count())
}

/// The number of a descriptor, for messages and for the arguments of raw calls.
pub(crate) fn number(fd: BorrowedFd<'_>) -> usize {
    // An open descriptor's number is never negative.
    fd.as_raw_fd().unsigned_abs().try_into().unwrap_or(usize::MAX)
}
