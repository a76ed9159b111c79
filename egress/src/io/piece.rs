//! Bytes that come here, in pieces that are not worth a pipe.

use rustix::net::{RecvFlags, SendFlags, recv, send};
use sandboxd_egress_plan::Verdict;
use std::{io, mem::MaybeUninit};
use tokio::{io::Interest, net::TcpStream};

/// Room for a piece, and no work to have it.
pub(super) type Room = [MaybeUninit<u8>; MOST];

/// The most bytes of a piece.
pub(super) const MOST: usize = 16 << 10;

/// What there is, as far as there is room; nothing where there will be no more. That room is left does not say
/// that this was all: reading stops before an urgent byte (tcp(7)), and epoll(7) tells nobody of what lies behind
/// it. So who wants more asks until there is nothing.
pub(super) fn received<'a>(
    from: &TcpStream,
    room: &'a mut [MaybeUninit<u8>],
) -> io::Result<&'a [u8]> {
    from.try_io(Interest::READABLE, || {
        let ((bytes, _), _) = recv(from, room, RecvFlags::empty())?;
        Ok(&*bytes)
    })
}

/// Sends what is taken at once, and returns the rest.
pub(super) fn sent<'a>(to: &TcpStream, bytes: &'a [u8]) -> Result<&'a [u8], Verdict> {
    if bytes.is_empty() {
        return Ok(bytes);
    }
    let step = || Ok(send(to, bytes, SendFlags::NOSIGNAL)?);
    let full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    // At first without looking whether there is room, since there is as a rule.
    let count = match step() {
        Err(error) if full(&error) => to.try_io(Interest::WRITABLE, step),
        count => count,
    };
    match count {
        Ok(count) => Ok(bytes.get(count..).unwrap_or_default()),
        Err(error) if full(&error) => Ok(bytes),
        Err(_) => Err(Verdict::Broke),
    }
}
