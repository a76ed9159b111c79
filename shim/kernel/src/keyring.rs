//! Session keyrings, session-keyring(7). They survive setresuid, so a command would read its
//! supervisor's keys.

use crate::syscall::syscall;
use rustix::io::{Errno, Result};

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
