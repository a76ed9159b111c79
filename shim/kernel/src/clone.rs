//! The two calls that make a process, clone(2) and clone3(2), and their arguments.

use crate::syscall::syscall;
use rustix::io::{Errno, Result};

/// The child's stack, in pieces that keep it aligned.
pub(crate) const STACK: usize = 4096;
pub(crate) const STACK_BYTES: u64 = 4096 * 16;

/// `struct clone_args` of kernel 5.7.
#[repr(C)]
#[derive(Default)]
pub(crate) struct CloneArgs {
    pub(crate) flags: u64,
    pub(crate) pidfd: u64,
    pub(crate) child_tid: u64,
    pub(crate) parent_tid: u64,
    pub(crate) exit_signal: u64,
    pub(crate) stack: u64,
    pub(crate) stack_size: u64,
    pub(crate) tls: u64,
    pub(crate) set_tid: u64,
    pub(crate) set_tid_size: u64,
    pub(crate) cgroup: u64,
}

pub(crate) const CLONE_VM: u64 = 0x100;
pub(crate) const CLONE_VFORK: u64 = 0x4000;
pub(crate) const CLONE_PIDFD: u64 = 0x1000;
pub(crate) const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
pub(crate) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The two calls that make a process, with their arguments as registers take them.
pub(crate) struct Clone {
    pub(crate) number: libc::c_long,
    pub(crate) arguments: [usize; 5],
}

impl Clone {
    /// clone3(2), which alone puts the child into a cgroup.
    pub(crate) fn three(args: &CloneArgs) -> Self {
        let arguments = [(&raw const *args).expose_provenance(), size_of::<CloneArgs>(), 0, 0, 0];
        Self { number: libc::SYS_clone3, arguments }
    }

    /// clone(2), which filters around containers let through where they answer clone3(2) with
    /// `ENOSYS`. It takes the top of the stack, and clears no signal handlers: all signals are blocked
    /// until the exec, which does.
    pub(crate) fn two(flags: u64, stack: *mut u128, pidfd: *mut i32) -> Result<Self> {
        let flags = usize::try_from(flags | exit_signal()).map_err(|_| Errno::INVAL)?;
        let top = stack.wrapping_add(STACK).expose_provenance();
        let arguments = [flags, top, pidfd.expose_provenance(), 0, 0];
        Ok(Self { number: libc::SYS_clone, arguments })
    }
}

/// What tells a parent of the end of its child.
pub(crate) fn exit_signal() -> u64 {
    u64::from(libc::SIGCHLD.cast_unsigned())
}

/// Whether clone3(2) is answered here, and not hidden by a filter around this process.
#[must_use]
pub fn clone3_is_answered() -> bool {
    // SAFETY: a kernel that has the call refuses a size of zero before it reads anything.
    let asked = unsafe { syscall(libc::SYS_clone3, [0; 6]) };
    asked == Err(Errno::INVAL)
}
