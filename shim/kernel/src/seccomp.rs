//! Installing a finished filter, seccomp(2).

use crate::syscall::syscall;
use rustix::io::{Errno, Result};

/// One instruction, `struct sock_filter`.
pub type Instruction = libc::sock_filter;

/// Puts the calling thread, and whatever it starts, under a filter for good. Refusals are logged
/// where the profile's action asks for it (`SECCOMP_FILTER_FLAG_LOG`).
///
/// # Errors
/// `EINVAL` where the program is empty, too long or malformed; `EACCES` without `no_new_privs`;
/// `ENOMEM` where the filters of this thread exceed 32768 instructions together.
pub fn install(program: &[Instruction]) -> Result<()> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    const SECCOMP_FILTER_FLAG_LOG: usize = 2;
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let arguments =
        [SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, (&raw const program).addr(), 0, 0, 0];
    // SAFETY: the kernel reads `len` instructions through `filter`, which points to that many, and
    // writes nothing.
    unsafe { syscall(libc::SYS_seccomp, arguments) }.map(drop)
}
