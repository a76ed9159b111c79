//! The two sockets to a sandbox: the report, until its command is executed, and the lifeline, as long
//! as init lives.

use super::error::StartError;
use super::state::Event;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};
use sandboxd_plan::{Arrives, Notice, Report, report};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use tokio::io::unix::AsyncFd;

/// As large as a report gets: a failure, or the answers of a few dozen probes.
const MOST_REPORT: usize = 64 << 10;

/// Told once, before what still lies in the socket, where the peer ended with our word unread; what it
/// said last is read after it, and then the end.
const PEER_GONE: Errno = Errno::CONNRESET;

/// What the shim made for us and sent.
#[derive(Default)]
pub(crate) struct Handed {
    /// The other end of the command's terminal.
    pub(crate) terminal: Option<OwnedFd>,
    /// Where it is asked about system calls that are refused.
    pub(crate) refusals: Option<OwnedFd>,
    /// Where the command's calls arrive.
    pub(crate) calls: Option<OwnedFd>,
    /// Where what it tells the service manager arrives.
    pub(crate) words: Option<OwnedFd>,
    /// Where what it wants signed arrives.
    pub(crate) signatures: Option<OwnedFd>,
}

/// Where the shim reports.
pub(crate) struct Reports(Option<AsyncFd<OwnedFd>>);

impl Reports {
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, StartError> {
        watched(socket).map(|socket| Self(Some(socket)))
    }

    /// The next report, or the end of them; after that, nothing ever. The descriptor that comes with
    /// one goes to `handed`.
    pub(crate) async fn next(&mut self, handed: &mut Handed) -> Result<Event, StartError> {
        let Some(socket) = &self.0 else {
            return std::future::pending().await;
        };
        let (packet, fd) = read_packet(socket, receive_report).await?;
        if packet.is_empty() {
            self.0 = None;
            return Ok(Event::ReportClosed);
        }
        let event = reported(&packet)?;
        if event == Event::Terminal {
            handed.terminal = fd;
        } else if event == Event::Refusals {
            handed.refusals = fd;
        } else if event == Event::Endpoint(Arrives::Calls) {
            handed.calls = fd;
        } else if event == Event::Endpoint(Arrives::Words) {
            handed.words = fd;
        } else if event == Event::Endpoint(Arrives::Signatures) {
            handed.signatures = fd;
        }
        Ok(event)
    }

    /// Why the command was not executed, where the shim said so and that was not heard yet: what is
    /// known to be readable of one socket says nothing of the other, so init's news of the end can
    /// come first.
    pub(crate) fn failure(&mut self) -> Result<Option<Event>, StartError> {
        let Some(socket) = &self.0 else { return Ok(None) };
        loop {
            match receive_report(socket.get_ref().as_fd()) {
                Ok((packet, _)) if packet.is_empty() => return Ok(None),
                Err(Errno::AGAIN) => return Ok(None),
                Ok((packet, _)) => {
                    let event = reported(&packet)?;
                    if matches!(event, Event::Failed(_)) {
                        return Ok(Some(event));
                    }
                }
                Err(Errno::INTR | PEER_GONE) => {}
                Err(errno) => return Err(StartError::call("recvmsg", "report", errno)),
            }
        }
    }

    /// Lets the shim execute the command.
    pub(crate) fn go(&self) -> Result<(), StartError> {
        let Some(socket) = &self.0 else {
            return Err(StartError::found("write", "the shim is gone"));
        };
        match rustix::io::write(socket.get_ref(), &[report::GO]) {
            // A shim that was just killed does not hear it; init's end says the rest.
            Ok(_) | Err(Errno::PIPE) => Ok(()),
            Err(errno) => Err(StartError::call("write", "go", errno)),
        }
    }
}

fn reported(packet: &[u8]) -> Result<Event, StartError> {
    match serde_json::from_slice(packet) {
        Ok(Report::Enforced(enforced)) => Ok(Event::Enforced(enforced)),
        Ok(Report::Terminal) => Ok(Event::Terminal),
        Ok(Report::Refusals) => Ok(Event::Refusals),
        Ok(Report::Endpoint(arrives)) => Ok(Event::Endpoint(arrives)),
        Ok(Report::Failed(failure)) => Ok(Event::Failed(failure)),
        Err(error) => Err(StartError::found("report", error.to_string())),
    }
}

/// What init dies without.
pub(crate) struct Lifeline {
    socket: AsyncFd<OwnedFd>,
    open: bool,
}

impl Lifeline {
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, StartError> {
        watched(socket).map(|socket| Self { socket, open: true })
    }

    /// Tells init that the end is wanted, by the end of what it can hear. What it says is still heard.
    pub(crate) fn end(&self) -> Result<(), StartError> {
        rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Write)
            .map_err(|errno| StartError::call("shutdown", "lifeline", errno))
    }

    /// What init says next; the descriptor that comes with its first word goes to `command`.
    pub(crate) async fn next(
        &mut self,
        command: &mut Option<OwnedFd>,
    ) -> Result<Event, StartError> {
        loop {
            if !self.open {
                return std::future::pending().await;
            }
            let (packet, fd) = read_packet(&self.socket, receive).await?;
            if fd.is_some() {
                *command = fd;
            }
            match packet {
                Some(packet) => return event(packet),
                // Init is going; the news of its end comes with its pidfd.
                None => self.open = false,
            }
        }
    }

    /// What init said before it was gone, where that was not heard yet.
    pub(crate) fn last(&mut self) -> Result<Option<Event>, StartError> {
        loop {
            match receive(self.socket.get_ref().as_fd()) {
                Ok((Some(packet), _)) => return event(packet).map(Some),
                Ok((None, _)) | Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | PEER_GONE) => {}
                Err(errno) => return Err(StartError::call("recvmsg", "lifeline", errno)),
            }
        }
    }
}

fn event(packet: [u8; 2]) -> Result<Event, StartError> {
    Notice::decode(&packet)
        .map(Event::Notice)
        .ok_or_else(|| StartError::found("recvmsg", format!("init said {packet:?}")))
}

/// One packet and the descriptor that came with it; no packet at the end of the stream.
fn receive(socket: BorrowedFd<'_>) -> rustix::io::Result<(Option<[u8; 2]>, Option<OwnedFd>)> {
    let mut packet = [0; 2];
    match receive_into(socket, &mut packet)? {
        (0, fd) => Ok((None, fd)),
        (2, fd) => Ok((Some(packet), fd)),
        _ => Err(Errno::BADMSG),
    }
}

/// One report, empty at the end of them, and the descriptor that came with it. It gets as much room as it takes: that of the
/// longest would have to be cleared for each.
fn receive_report(socket: BorrowedFd<'_>) -> rustix::io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let (_, length) = rustix::net::recv(socket, &mut [0; 0], RecvFlags::PEEK | RecvFlags::TRUNC)?;
    if length > MOST_REPORT {
        return Err(Errno::BADMSG);
    }
    let mut packet = vec![0; length];
    let (_, fd) = receive_into(socket, &mut packet)?;
    Ok((packet, fd))
}

/// The length of one packet, which must fit, and the descriptor that came with it.
fn receive_into(
    socket: BorrowedFd<'_>,
    packet: &mut [u8],
) -> rustix::io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(packet)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fd = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            fd = fds.next().or(fd);
        }
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(Errno::BADMSG);
    }
    Ok((received.bytes, fd))
}

async fn read_packet<T>(
    socket: &AsyncFd<OwnedFd>,
    mut read: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
) -> Result<T, StartError> {
    loop {
        let mut ready = socket
            .readable()
            .await
            .map_err(|_| StartError::found("epoll_wait", "a socket to the sandbox"))?;
        match read(socket.get_ref().as_fd()) {
            Ok(packet) => return Ok(packet),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::INTR | PEER_GONE) => {}
            Err(errno) => {
                return Err(StartError::call("recvmsg", "a socket to the sandbox", errno));
            }
        }
    }
}

/// A descriptor that can be waited on.
#[expect(
    deprecated,
    reason = "unsound only for types that can change their descriptor, unlike this"
)]
pub(crate) fn watched(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>, StartError> {
    AsyncFd::new(fd)
        .map_err(|error| StartError::io("epoll_ctl", "a descriptor of the sandbox", &error))
}

/// What drives it: one thread.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| StartError::io("epoll_create", "the run loop", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use sandboxd_plan::{Call, Failure, Stage};

    #[test]
    fn the_last_word_of_a_shim_that_did_not_hear_ours_is_heard() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, shims) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let mut reports = Reports::new(ours).unwrap();
        reports.go().unwrap();
        let failure =
            Failure { stage: Stage::Exec, call: Call::Chdir, subject: String::new(), errno: 4 };
        let said = serde_json::to_vec(&Report::Failed(failure.clone())).unwrap();
        rustix::io::write(&shims, &said).unwrap();
        drop(shims);
        // The kernel tells the reset first, and it must not stand for what was said.
        assert_eq!(reports.failure().unwrap(), Some(Event::Failed(failure)));
        assert_eq!(
            runtime.block_on(reports.next(&mut Handed::default())).unwrap(),
            Event::ReportClosed
        );
        assert!(Reports(reports.0).go().is_err());
    }
}
