//! Who is at the other end of a control socket. That is told by what no process can change about itself:
//! its user, which is root or the supervisor's own; and that it is no more confined than the supervisor.
//! A command of ours always is, by its filter and by `no_new_privs`, neither of which is ever taken off:
//! so one that has its caller's uid, and was even shown the socket, approves nothing.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use sandboxd_kernel::peer;

/// Why somebody is not trusted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It has another uid.
    Uid(u32),
    /// It is in a sandbox that the supervisor is not in.
    Confined,
    /// The kernel does not say who it is.
    Unknown,
}

/// How far a process is confined, as proc_pid_status(5) tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Confinement {
    no_new_privs: bool,
    filters: u32,
}

/// Whoever may approve, as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Approver {
    pub(crate) uid: u32,
    pub(crate) pid: i32,
}

/// Who this peer is, where it may approve, or be asked what there is to approve.
pub(crate) fn trusted(stream: BorrowedFd<'_>) -> Result<Approver, Stranger> {
    let peer = socket_peercred(stream).map_err(|_| Stranger::Unknown)?;
    let own = rustix::process::geteuid();
    if !peer.uid.is_root() && peer.uid != own {
        return Err(Stranger::Uid(peer.uid.as_raw()));
    }
    // Held meanwhile, so that the number is still its own afterwards; before Linux 6.5 there is none.
    let pidfd = match peer::pidfd(stream) {
        Ok(pidfd) => Some(pidfd),
        Err(Errno::NOPROTOOPT) => None,
        Err(_) => return Err(Stranger::Unknown),
    };
    let theirs = Confinement::of(&peer.pid.as_raw_pid().to_string());
    if pidfd.is_some_and(|pidfd| is_gone(&pidfd)) {
        return Err(Stranger::Unknown);
    }
    let (Some(theirs), Some(ours)) = (theirs, Confinement::of("self")) else {
        return Err(Stranger::Unknown);
    };
    if theirs.exceeds(ours) {
        return Err(Stranger::Confined);
    }
    Ok(Approver { uid: peer.uid.as_raw(), pid: peer.pid.as_raw_pid() })
}

/// Whether the process has ended, so that its number may be another's.
pub(crate) fn is_gone(pidfd: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    poll(&mut fds, Some(&now)) != Ok(0)
}

impl Confinement {
    fn of(process: &str) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        Self::read(&status)
    }

    /// Nothing where it is not told, which is taken for the worst.
    fn read(status: &str) -> Option<Self> {
        let number = |key| -> Option<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().parse().ok()
        };
        let filters = match number("Seccomp:")? {
            0 => 0,
            _ => number("Seccomp_filters:")?,
        };
        Some(Self { no_new_privs: number("NoNewPrivs:")? != 0, filters })
    }

    const fn exceeds(self, other: Self) -> bool {
        (self.no_new_privs && !other.no_new_privs) || self.filters > other.filters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    const PLAIN: &str = "Name:\tx\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";

    #[test]
    fn whoever_is_confined_more_is_no_approver() {
        let read = |status: &str| Confinement::read(status).unwrap();
        let plain = read(PLAIN);
        let agent = read("NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n");
        let shell = read("NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n");
        assert!(agent.exceeds(plain) && agent.exceeds(shell) && shell.exceeds(plain));
        assert!(!plain.exceeds(plain) && !shell.exceeds(shell) && !plain.exceeds(agent));
        // What does not say is not trusted.
        assert_eq!(Confinement::read("NoNewPrivs:\t0\nSeccomp:\t2\n"), None);
        assert_eq!(Confinement::read("Seccomp:\t0\n"), None);
    }

    #[test]
    fn this_very_process_is_trusted() {
        let flags = SocketFlags::CLOEXEC;
        let (one, _other) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let (uid, pid) = (rustix::process::geteuid().as_raw(), std::process::id());
        let own = Approver { uid, pid: i32::try_from(pid).unwrap() };
        assert_eq!(trusted(one.as_fd()), Ok(own));
    }
}
