//! Who is at the other end of a socket, unix(7): by a pidfd of the process that connected, which says
//! what no process can say of itself.

use crate::fds::number;
use crate::syscall::syscall;
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

/// `SOL_SOCKET` of x86-64.
const SOL_SOCKET: usize = 1;
/// `SO_PEERPIDFD`, Linux 6.5.
const SO_PEERPIDFD: usize = 77;
/// `SO_PASSRIGHTS`, Linux 6.16.
const SO_PASSRIGHTS: usize = 83;
/// The length of an `int`.
const INT: libc::socklen_t = 4;

/// A pidfd of the process that connected.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.5; `ESRCH` or `EINVAL` where it has ended, before 6.16.
pub fn pidfd(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    let (mut fd, mut length) = (-1_i32, INT);
    let arguments = [
        number(socket),
        SOL_SOCKET,
        SO_PEERPIDFD,
        (&raw mut fd).addr(),
        (&raw mut length).addr(),
        0,
    ];
    // SAFETY: the kernel writes one descriptor and its length, for both of which there is room.
    unsafe { syscall(libc::SYS_getsockopt, arguments) }?;
    // SAFETY: it was just made for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct pidfd_info` of linux/pidfd.h, as far as its first version goes.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 12],
}

/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: usize = 0xC000_FF0B | (size_of::<Info>() << 16);
/// `PIDFD_INFO_CGROUPID`.
const CGROUP: u64 = 1 << 2;

/// The id of the v2 cgroup that a process is in, or was in last; nothing where this kernel does not tell
/// (before Linux 6.13).
///
/// # Errors
/// Those of the kernel where it tells and something is wrong: `ESRCH` for a process that is gone.
pub fn cgroup(pidfd: BorrowedFd<'_>) -> Result<Option<u64>> {
    let mut info = Info { mask: CGROUP, ..Info::default() };
    let arguments = [number(pidfd), GET_INFO, (&raw mut info).addr(), 0, 0, 0];
    // SAFETY: the kernel reads and writes no more than the size that is part of the request.
    match unsafe { syscall(libc::SYS_ioctl, arguments) } {
        Ok(_) if info.mask & CGROUP != 0 => Ok(Some(info.cgroup)),
        // What is not told is not taken for anything.
        Ok(_) => Err(Errno::NODATA),
        Err(Errno::NOTTY | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Lets no descriptor come with what is sent to this socket, and to those that it accepts; false where
/// this kernel cannot (before Linux 6.16), so that whoever reads must not take any.
///
/// # Errors
/// Those of setsockopt(2).
pub fn refuse_descriptors(socket: BorrowedFd<'_>) -> Result<bool> {
    let none = 0_i32;
    let arguments =
        [number(socket), SOL_SOCKET, SO_PASSRIGHTS, (&raw const none).addr(), size_of::<i32>(), 0];
    // SAFETY: the kernel reads one integer.
    match unsafe { syscall(libc::SYS_setsockopt, arguments) } {
        Ok(_) => Ok(true),
        Err(Errno::NOPROTOOPT) => Ok(false),
        Err(errno) => Err(errno),
    }
}
