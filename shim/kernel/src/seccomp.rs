//! Installing a finished filter, and answering for one, seccomp(2), seccomp_unotify(2).

use crate::fds::number;
use crate::syscall::syscall;
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

/// One instruction, `struct sock_filter`.
pub type Instruction = libc::sock_filter;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: usize = 1 << 3;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19: once it is known of, only the end of the process
/// takes a call back.
const WAIT_KILLABLE_RECV: usize = 1 << 5;

/// Puts the calling thread, and whatever it starts, under a filter for good. What it refuses is not logged
/// (`SECCOMP_FILTER_FLAG_LOG`): each would be a record in the host's audit log, as often as the command likes.
///
/// # Errors
/// `EINVAL` where the program is empty, too long or malformed; `EACCES` without `no_new_privs`;
/// `ENOMEM` where the filters of this thread exceed 32768 instructions together.
pub fn install(program: &[Instruction]) -> Result<()> {
    put_on(program, 0).map(drop)
}

/// The same, and whoever has the descriptor answers the calls for which the program returns
/// `SECCOMP_RET_USER_NOTIF`. Where nobody has it any more, they are answered with `ENOSYS`.
///
/// # Errors
/// As [`install`]; `EBUSY` where such a filter is on already; `EINVAL` before Linux 5.19.
pub fn install_asking(program: &[Instruction]) -> Result<OwnedFd> {
    let fd = put_on(program, NEW_LISTENER | WAIT_KILLABLE_RECV)?;
    let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel made it for us, close-on-exec, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn put_on(program: &[Instruction], flags: usize) -> Result<usize> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let arguments = [SECCOMP_SET_MODE_FILTER, flags, (&raw const program).addr(), 0, 0, 0];
    // SAFETY: the kernel reads `len` instructions through `filter`, which points to that many, and
    // writes nothing.
    unsafe { syscall(libc::SYS_seccomp, arguments) }
}

/// A call that waits to be answered, `struct seccomp_notif`. What it was made with was copied by the
/// kernel, and does not change any more.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Names it, for as long as it waits.
    pub id: u64,
    /// The thread that made it, in the reader's pid namespace; 0 where it has no number there.
    pub pid: u32,
    flags: u32,
    /// Its number.
    pub number: i32,
    /// The architecture whose table it was made through.
    pub arch: u32,
    /// Where it was made.
    pub instruction: u64,
    /// Its arguments. Those that are addresses lead into memory that can change at any time.
    pub arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `SECCOMP_IOCTL_NOTIF_RECV`: `_IOWR('!', 0, struct seccomp_notif)`.
const RECEIVE: usize = 0xC000_2100 | (size_of::<Asked>() << 16);
/// `SECCOMP_IOCTL_NOTIF_SEND`.
const SEND: usize = 0xC000_2101 | (size_of::<Answer>() << 16);
/// `SECCOMP_IOCTL_NOTIF_ID_VALID`: `_IOW('!', 2, __u64)`.
const IS_VALID: usize = 0x4008_2102;
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, Linux 5.5.
const CONTINUE: u32 = 1;

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS`: `_IOW('!', 4, __u64)`, Linux 6.6.
const SET_FLAGS: usize = 0x4008_2104;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`.
const SYNC_WAKE_UP: usize = 1;

/// Has whoever asks and whoever answers run on one processor, one after the other, which takes them less
/// time. An older kernel goes on as it did.
pub fn stay_on_one_cpu(listener: BorrowedFd<'_>) {
    // SAFETY: only numbers are passed.
    unsafe { syscall(libc::SYS_ioctl, [number(listener), SET_FLAGS, SYNC_WAKE_UP, 0, 0, 0]) }.ok();
}

/// The next call that waits. Blocks where none does.
///
/// # Errors
/// `ENOENT` where it was taken back meanwhile; `EINTR`.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Asked> {
    let mut asked = Asked::default();
    // SAFETY: the kernel reads and writes one `struct seccomp_notif`, for which there is room.
    unsafe {
        syscall(libc::SYS_ioctl, [number(listener), RECEIVE, (&raw mut asked).addr(), 0, 0, 0])
    }?;
    Ok(asked)
}

/// Refuses a call: it returns this error.
///
/// # Errors
/// `ENOENT` where it was taken back, because a signal came or its thread ended.
pub fn refuse(listener: BorrowedFd<'_>, asked: &Asked, errno: Errno) -> Result<()> {
    let error = errno.raw_os_error().wrapping_neg();
    answer(listener, &Answer { id: asked.id, value: 0, error, flags: 0 })
}

/// Lets the kernel do a call. Nothing is decided by that: whatever its arguments lead to can be another
/// thing by then.
///
/// # Errors
/// As [`refuse`].
pub fn let_through(listener: BorrowedFd<'_>, asked: &Asked) -> Result<()> {
    answer(listener, &Answer { id: asked.id, value: 0, error: 0, flags: CONTINUE })
}

fn answer(listener: BorrowedFd<'_>, answer: &Answer) -> Result<()> {
    let arguments = [number(listener), SEND, core::ptr::from_ref(answer).addr(), 0, 0, 0];
    // SAFETY: the kernel reads one `struct seccomp_notif_resp`.
    unsafe { syscall(libc::SYS_ioctl, arguments) }.map(drop)
}

/// Whether a call still waits, so that what was read of its thread is of that thread.
#[must_use]
pub fn still_waits(listener: BorrowedFd<'_>, asked: &Asked) -> bool {
    let arguments = [number(listener), IS_VALID, (&raw const asked.id).addr(), 0, 0, 0];
    // SAFETY: the kernel reads eight bytes.
    unsafe { syscall(libc::SYS_ioctl, arguments) }.is_ok()
}
