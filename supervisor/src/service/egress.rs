//! The service `egress`: its plan is standard input; standard error is the supervisor, who first hands
//! over the sockets of the sandbox's network, and then is told what went out and what did not.

use crate::network::Inside;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use sandboxd_egress::Sockets;
use sandboxd_egress_plan::wire;
use sandboxd_kernel::fds::take;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;

pub(crate) const NAME: &str = "egress";

/// As many sockets as a network has at most: one of each of three kinds, for two families.
const MOST: usize = 6;

/// Hands the sockets over: one packet that says how many there are of each kind. Does not wait.
///
/// # Errors
/// Where they cannot be sent.
pub(crate) fn hand_over(inside: &Inside, to: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let Inside { transparent, dns_datagram, dns_stream } = inside;
    let kinds = [transparent, dns_datagram, dns_stream];
    let counts = kinds.map(|kind| u8::try_from(kind.len()).unwrap_or(u8::MAX));
    let all: Vec<BorrowedFd<'_>> = kinds.into_iter().flatten().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(Errno::MSGSIZE);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| rustix::net::sendmsg(to, &[IoSlice::new(&counts)], &mut ancillary, flags))
        .map(drop)
}

/// Takes them.
fn taken(control: OwnedFd) -> io::Result<Sockets> {
    let mut counts = [0_u8; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        rustix::net::recvmsg(
            &control,
            &mut [IoSliceMut::new(&mut counts)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    let mut all = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            all.extend(descriptors);
        }
    }
    let [transparent, datagram, stream, _] = counts.map(usize::from);
    let whole = received.bytes == 3
        && !received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        && all.len() == transparent + datagram + stream;
    if !whole {
        return Err(Errno::BADMSG.into());
    }
    let mut all = all.into_iter();
    let mut next = |count| all.by_ref().take(count).collect();
    Ok(Sockets {
        transparent: next(transparent),
        proxy: Vec::new(),
        dns_datagram: next(datagram),
        dns_stream: next(stream),
        control,
    })
}

/// Lets out what the plan names, until the supervisor is gone.
///
/// # Errors
/// Where the plan is none, or the sockets are not there.
pub(crate) fn serve() -> io::Result<()> {
    let mut plan = Vec::new();
    File::from(take(0)?).read_to_end(&mut plan)?;
    let plan = wire::decode(&plan).map_err(|error| io::Error::other(error.to_string()))?;
    sandboxd_egress::serve(plan, taken(take(2)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn some(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| rustix::io::dup(File::open("/dev/null").unwrap()).unwrap()).collect()
    }

    #[test]
    fn the_sockets_arrive_as_what_they_are() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let inside = Inside { transparent: some(2), dns_datagram: some(1), dns_stream: some(2) };
        hand_over(&inside, ours.as_fd()).unwrap();
        let sockets = taken(theirs).unwrap();
        let Sockets { transparent, proxy, dns_datagram, dns_stream, .. } = &sockets;
        let counts = [transparent, proxy, dns_datagram, dns_stream].map(Vec::len);
        assert_eq!(counts, [2, 0, 1, 2]);
        rustix::net::send(&ours, &[1, 0, 0], SendFlags::empty()).unwrap();
        assert!(taken(sockets.control).is_err());
    }
}
