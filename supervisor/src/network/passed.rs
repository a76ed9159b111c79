//! The sockets of a namespace, from one process to another: one packet that says how many there are of
//! each kind.

use super::Inside;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut, Result, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use std::mem::MaybeUninit;

/// As many as there are at most: one of each of three kinds for two families, the proxy, and the agent.
const MOST: usize = 8;

/// Sends them. Does not wait.
///
/// # Errors
/// Where they cannot be sent.
pub(crate) fn send(inside: &Inside, to: impl AsFd) -> Result<()> {
    let Inside { transparent, proxy, dns_datagram, dns_stream, agent } = inside;
    let kinds = [transparent, proxy, dns_datagram, dns_stream, agent];
    let counts = kinds.map(|kind| u8::try_from(kind.len()).unwrap_or(u8::MAX));
    send_all(kinds.into_iter().flatten().map(AsFd::as_fd).collect(), &counts, to)
}

/// Sends descriptors with these bytes.
pub(crate) fn send_all(all: Vec<BorrowedFd<'_>>, bytes: &[u8], to: impl AsFd) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !all.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(Errno::MSGSIZE);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let to = to.as_fd();
    retry_on_intr(|| rustix::net::sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, flags))
        .map(drop)
}

/// Waits for them.
///
/// # Errors
/// Where they do not come.
pub(crate) fn receive(from: impl AsFd) -> Result<Inside> {
    let (counts, all) = receive_all(from)?;
    let counts = counts.map(usize::from);
    if all.len() != counts.iter().sum::<usize>() {
        return Err(Errno::BADMSG);
    }
    let mut all = all.into_iter();
    let [transparent, proxy, dns_datagram, dns_stream, agent] =
        counts.map(|count| all.by_ref().take(count).collect());
    Ok(Inside { transparent, proxy, dns_datagram, dns_stream, agent })
}

/// Waits for descriptors, and exactly so many bytes.
pub(super) fn receive_all<const BYTES: usize>(
    from: impl AsFd,
) -> Result<([u8; BYTES], Vec<OwnedFd>)> {
    let mut bytes = [0_u8; BYTES];
    let (length, all) = receive_into(from, &mut bytes)?;
    if length == BYTES { Ok((bytes, all)) } else { Err(Errno::BADMSG) }
}

/// Waits for descriptors, and for not more bytes than these.
pub(crate) fn receive_into(from: impl AsFd, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let from = from.as_fd();
    let received = retry_on_intr(|| {
        rustix::net::recvmsg(
            from,
            &mut [IoSliceMut::new(bytes)],
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
    let cut = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    if received.bytes == 0 || cut { Err(Errno::BADMSG) } else { Ok((received.bytes, all)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::fs::File;

    fn some(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| rustix::io::dup(File::open("/dev/null").unwrap()).unwrap()).collect()
    }

    #[test]
    fn the_sockets_arrive_as_what_they_are() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let inside = Inside {
            transparent: some(2),
            proxy: some(1),
            dns_datagram: some(2),
            dns_stream: some(2),
            agent: some(1),
        };
        send(&inside, &ours).unwrap();
        let Inside { transparent, proxy, dns_datagram, dns_stream, agent } =
            receive(&theirs).unwrap();
        let kinds = [transparent, proxy, dns_datagram, dns_stream, agent];
        assert_eq!(kinds.map(|kind| kind.len()), [2, 1, 2, 2, 1]);
        rustix::net::send(&ours, &[1, 0, 0, 0, 0], SendFlags::empty()).unwrap();
        assert!(receive(&theirs).is_err());
        rustix::net::send(&ours, &[0; 6], SendFlags::empty()).unwrap();
        assert!(receive(&theirs).is_err());
        drop(ours);
        assert!(receive(&theirs).is_err());
    }
}
