//! User namespaces, user_namespaces(7): those that an ordinary user's sandbox is in, and those that exist
//! for their id map alone.
//!
//! Whoever makes one holds every capability in it, until the next execve: it takes them away from
//! everybody but uid 0 inside. The sandbox of an ordinary user has no uid 0, so what the shim needs is
//! carried over the execve as ambient capabilities, and the shim gives it up like root's.

mod mapping;

pub use mapping::{Mapping, Refused, Step};

use crate::clone::{CLONE_CLEAR_SIGHAND, CLONE_PIDFD, CloneArgs};
use crate::fds::{close_from, number};
use crate::process::{Started, address, exit};
use crate::syscall::syscall;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

const CLONE_NEWUSER: u64 = 0x1000_0000;

/// The user namespace of a process, by its pidfd: `PIDFD_GET_USER_NAMESPACE` (kernel 6.11).
///
/// # Errors
/// `ENOTTY` before kernel 6.11.
pub fn user_namespace(pidfd: BorrowedFd<'_>) -> Result<OwnedFd> {
    const PIDFD_GET_USER_NAMESPACE: usize = 0xff09;
    // SAFETY: the ioctl takes no argument and answers with a descriptor that is new.
    let fd =
        unsafe { syscall(libc::SYS_ioctl, [number(pidfd), PIDFD_GET_USER_NAMESPACE, 0, 0, 0, 0]) }?;
    let fd = i32::try_from(fd).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A process that does nothing but be in a new user namespace. It holds no descriptor, and ends when
/// it is told to or when whoever started it ends.
#[derive(Debug)]
pub struct Sleeper(Started);

impl Sleeper {
    /// Starts one.
    ///
    /// # Errors
    /// Those of clone3(2): `EPERM` or `ENOSPC` where user namespaces are refused.
    pub fn start() -> Result<Self> {
        let mut pidfd: i32 = -1;
        let args = CloneArgs {
            flags: CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_NEWUSER,
            pidfd: address(&raw mut pidfd),
            ..CloneArgs::default()
        };
        let arguments = [(&raw const args).addr(), size_of::<CloneArgs>(), 0, 0, 0, 0];
        let starter = rustix::process::getpid();
        // SAFETY: the kernel reads `args` and writes a descriptor to `pidfd`. The child, in a copy
        // of this memory, makes nothing but system calls that touch none of it.
        let pid = unsafe { syscall(libc::SYS_clone3, arguments) }?;
        let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw)
        else {
            sleep(starter)
        };
        // SAFETY: the kernel made this descriptor for us and nobody else owns it.
        Ok(Self(Started { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }))
    }

    /// Its number, for `/proc/<pid>/uid_map`.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.0.pid
    }

    /// Its pidfd.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.0.pidfd.as_fd()
    }

    /// Ends it and waits for its end.
    ///
    /// # Errors
    /// None for a child of the caller's; those of waitid(2).
    pub fn end(self) -> Result<()> {
        rustix::process::pidfd_send_signal(&self.0.pidfd, Signal::KILL)?;
        // It has no exit signal, so only __WCLONE sees it.
        const WCLONE: usize = 0x8000_0000;
        const P_PIDFD: usize = 3;
        const WEXITED: usize = 4;
        let fd = usize::try_from(self.0.pidfd.as_raw_fd()).map_err(|_| Errno::BADF)?;
        // SAFETY: with null pointers for the information and the usage, waitid writes nothing.
        unsafe { syscall(libc::SYS_waitid, [P_PIDFD, fd, 0, WEXITED | WCLONE, 0, 0]) }.map(drop)
    }
}

/// The child. Its copies of the starter's descriptors go first: a lock that one of them holds must not
/// outlive the starter.
fn sleep(starter: Pid) -> ! {
    let ready = close_from(0)
        .and_then(|()| set_parent_process_death_signal(Some(Signal::KILL)))
        .map(|()| getppid() == Some(starter));
    // The starter may have ended before the line above, and then no signal comes.
    if ready != Ok(true) {
        exit(1);
    }
    loop {
        // SAFETY: pause takes no argument and touches no memory.
        if unsafe { syscall(libc::SYS_pause, [0; 6]) }.is_ok() {
            exit(0);
        }
    }
}
