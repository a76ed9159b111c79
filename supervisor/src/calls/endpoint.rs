//! Where the calls of one sandbox arrive. Who connects is told by three things that no process inside
//! chooses: the socket, which only that sandbox's view has; the uid of whoever connected; and the cgroup
//! that the process was in, by its pidfd. All that this kernel can tell must name the same sandbox.

use super::Caller;
use crate::cgroup::Group;
use crate::control::is_gone;
use crate::sandbox::StartError;
use crate::sandbox::channel::watched;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketFlags, accept_with};
use sandboxd_kernel::peer;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// How often a sandbox may connect: one in so long, and so many at once, as when all its clients start. The
/// broker is told of each in a packet, of which the kernel keeps ten (`net.unix.max_dgram_qlen`).
const PACE: Duration = Duration::from_millis(20);
const AT_ONCE: u32 = 8;

/// A listening socket in a sandbox's view.
pub(crate) struct Endpoint {
    socket: AsyncFd<OwnedFd>,
    caller: Caller,
    /// The sandbox's own uid.
    uid: u32,
    /// When as many as may be at once could come again.
    rested: Instant,
}

/// Whoever is at the other end of a connection, as the kernel tells.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) pid: i32,
    /// The id of the v2 cgroup that it was in; nothing where this kernel does not tell, and why it cannot
    /// be told.
    pub(super) cgroup: rustix::io::Result<Option<u64>>,
}

/// Why a connection is no caller's.
#[derive(Debug, PartialEq, Eq)]
enum Stranger {
    /// It has another uid.
    Uid,
    /// It was in another cgroup.
    Cgroup,
    /// The kernel does not say who it is.
    Unknown(Errno),
}

impl Endpoint {
    /// Takes over a socket that the shim made.
    ///
    /// # Errors
    /// Where it is none that can be waited on.
    pub(crate) fn new(socket: OwnedFd, caller: Caller, uid: u32) -> Result<Self, StartError> {
        let failed = |call| move |errno| StartError::call(call, "broker.sock", errno);
        // Where this kernel cannot refuse them, the broker's reads take none.
        peer::refuse_descriptors(socket.as_fd()).map_err(failed("setsockopt"))?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(failed("ioctl"))?;
        Ok(Self { socket: watched(socket)?, caller, uid, rested: Instant::now() })
    }

    /// Lets in whoever is of this sandbox, for as long as it is waited for; the pace is kept however often
    /// that begins anew.
    ///
    /// # Errors
    /// Where nobody can be accepted any more.
    pub(crate) async fn serve(&mut self, group: Option<&Group>) -> Result<(), StartError> {
        let failed = |errno| StartError::call("accept4", "broker.sock", errno);
        loop {
            let next = self.rested.checked_sub(PACE * (AT_ONCE - 1)).unwrap_or(self.rested);
            tokio::time::sleep_until(next.into()).await;
            let mut ready = self
                .socket
                .readable()
                .await
                .map_err(|_| StartError::found("epoll_wait", "broker.sock"))?;
            match accept_with(self.socket.get_ref(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(stream) => self.connected(&stream, group),
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                // It hung up before it was let in.
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                // We have no descriptor left: whoever waits goes on waiting.
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {}
                Err(errno) => return Err(failed(errno)),
            }
            self.rested = self.rested.max(Instant::now()) + PACE;
        }
    }

    /// The command runs.
    pub(crate) fn runs(&self) {
        self.caller.runs();
    }

    /// The sandbox is over.
    pub(crate) fn close(self) {
        self.caller.leave();
    }

    /// A connection that is no caller's, or that the broker does not take, is closed.
    fn connected(&self, stream: &OwnedFd, group: Option<&Group>) {
        let refused = match Peer::of(stream.as_fd()) {
            Ok((peer, pidfd)) => match peer.is_of(self.uid, group, pidfd.as_ref()) {
                Ok(()) => {
                    self.caller.connected(stream, peer).ok();
                    return;
                }
                Err(stranger) => (Some(peer), stranger),
            },
            Err(errno) => (None, Stranger::Unknown(errno)),
        };
        let (peer, stranger) = refused;
        self.caller.knocked(0, peer, Some(stranger.text()));
    }
}

impl Stranger {
    /// Which proof failed, in a word.
    const fn text(&self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Cgroup => "cgroup",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl Peer {
    /// Whoever connected, and its pidfd.
    fn of(stream: BorrowedFd<'_>) -> rustix::io::Result<(Self, Option<OwnedFd>)> {
        let peer = socket_peercred(stream)?;
        let (cgroup, pidfd) = match peer::pidfd(stream) {
            Ok(pidfd) => (peer::cgroup(pidfd.as_fd()), Some(pidfd)),
            // Linux before 6.5 has no pidfd of a peer; its number is the kernel's word too.
            Err(Errno::NOPROTOOPT) => (Ok(None), None),
            Err(errno) => (Err(errno), None),
        };
        Ok((Self { uid: peer.uid.as_raw(), pid: peer.pid.as_raw_pid(), cgroup }, pidfd))
    }

    /// Whether it is of the sandbox that has this uid and this cgroup.
    fn is_of(
        &self,
        uid: u32,
        group: Option<&Group>,
        pidfd: Option<&OwnedFd>,
    ) -> Result<(), Stranger> {
        if self.uid != uid {
            return Err(Stranger::Uid);
        }
        let Some(group) = group else { return Ok(()) };
        match (self.cgroup.map_err(Stranger::Unknown)?, group.id()) {
            (Some(told), Some(own)) if told == own => Ok(()),
            (Some(_), Some(_)) => Err(Stranger::Cgroup),
            (None, _) | (_, None) => in_group(group, self.pid, pidfd),
        }
    }
}

/// The same by its number, where the kernel says no more: a process that has ended is in no group. One of this sandbox
/// may have its number since, so that it must not have ended afterwards either.
fn in_group(group: &Group, pid: i32, pidfd: Option<&OwnedFd>) -> Result<(), Stranger> {
    match group.contains(pid) {
        Ok(true) if pidfd.is_some_and(is_gone) => Err(Stranger::Unknown(Errno::SRCH)),
        Ok(true) => Ok(()),
        Ok(false) => Err(Stranger::Cgroup),
        Err(_) => Err(Stranger::Unknown(Errno::SRCH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Most;
    use crate::calls::desk::tests::parts_of;
    use crate::service::channel::receive;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    /// More than may be at once.
    const CLIENTS: u32 = AT_ONCE + 12;

    #[test]
    fn who_connects_more_often_than_may_be_at_once_waits() {
        let most = Most { instances: 0, connections: 64 };
        let (shared, _records, _news, broker) = parts_of(most, |_, _| unreachable!());
        let name = format!("sandboxd-pace-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let connect = |_| UnixStream::connect_addr(&address).unwrap();
        let clients: Vec<UnixStream> = (0..CLIENTS).map(connect).collect();
        let caller = shared.caller(shared.calls.graph.first(), 0).unwrap();
        let told = async {
            let mut count = 0;
            while count < CLIENTS {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let mut fds = [PollFd::new(&broker.line, PollFlags::IN)];
                while poll(&mut fds, Some(&Timespec::default())).unwrap() == 1 {
                    assert!(receive(&broker.line).unwrap().is_some());
                    count += 1;
                }
            }
        };
        let began = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let uid = rustix::process::getuid().as_raw();
            let mut endpoint = Endpoint::new(listener.into(), caller, uid).unwrap();
            tokio::select! {
                over = endpoint.serve(None) => panic!("{over:?}"),
                () = told => {}
            }
        });
        assert!(began.elapsed() >= PACE * (CLIENTS - AT_ONCE), "{:?}", began.elapsed());
        drop(clients);
    }
}
