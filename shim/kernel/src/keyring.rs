//! Session keyrings, session-keyring(7). They survive setresuid, so a command would read its
//! supervisor's keys.

use crate::syscall::syscall;
use rustix::io::{Errno, Result};

/// Whether keyctl(2) is answered here, by a kernel with or without keyrings, and not refused by a filter
/// around this process.
#[must_use]
pub fn is_answered() -> bool {
    const KEYCTL_GET_KEYRING_ID: usize = 0;
    const KEY_SPEC_SESSION_KEYRING: usize = (-3_isize).cast_unsigned();
    // SAFETY: the call takes integers; without the wish to make one it changes nothing.
    let asked = unsafe {
        syscall(libc::SYS_keyctl, [KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0, 0])
    };
    asked != Err(Errno::PERM)
}

/// Joins a new, empty, anonymous session keyring, `keyctl(KEYCTL_JOIN_SESSION_KEYRING)`.
///
/// A kernel built without keyrings (`ENOSYS`) has none to leave, which is success.
///
/// # Errors
/// `EDQUOT` where the user's key quota is used up; `EPERM` where an outer filter refuses keyctl.
pub fn join_new_session() -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: a null name asks for an anonymous keyring; the kernel reads no memory of ours.
    let joined = unsafe { syscall(libc::SYS_keyctl, [KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0, 0]) };
    match joined {
        Ok(_) | Err(Errno::NOSYS) => Ok(()),
        Err(error) => Err(error),
    }
}
