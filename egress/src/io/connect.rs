//! A connection outside, with as few steps as it takes. One to this machine is there as soon as it is asked for,
//! and nobody waits for that.

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect as step, socket_with, sockopt},
};
use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};
use tokio::{io::Interest, net::TcpStream, time::timeout};

/// A way to find out how much may be under way that every kernel has and that never waits on purpose.
const UNPACED: &str = "reno";

/// Connects, within this time.
pub(super) async fn connect(to: SocketAddr, wait: Duration) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if to.ip().is_loopback() { inside(&socket) } else { at_once(&socket) }?;
    // The first says that it goes on, even where it has been answered meanwhile; the second says how it went.
    let begun = match step(&socket, &to) {
        Err(Errno::INPROGRESS) => step(&socket, &to),
        begun => begun,
    };
    let stream = match begun {
        Ok(()) => return TcpStream::from_std(socket.into()),
        Err(Errno::ALREADY) => TcpStream::from_std(socket.into())?,
        Err(failed) => return Err(failed.into()),
    };
    let connected = async {
        loop {
            stream.writable().await?;
            match stream.try_io(Interest::WRITABLE, || again(&stream, to)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                connected => return connected,
            }
        }
    };
    timeout(wait, connected).await??;
    Ok(stream)
}

/// Sends on what is carried in small pieces, and does not wait for each of them to be acknowledged.
fn at_once(socket: impl AsFd) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(socket, true)?)
}

/// For what stays on this machine; each connection that is accepted has it from its listener (tcp(7)).
pub(super) fn inside(socket: impl AsFd) -> io::Result<()> {
    // There is no line that could be too full, and the algorithms that guess how fast one is send more slowly
    // than can be taken. Where a host allows only those, that is so here too.
    sockopt::set_tcp_congestion(&socket, UNPACED).ok();
    at_once(socket)
}

/// How it goes.
fn again(stream: &TcpStream, to: SocketAddr) -> io::Result<()> {
    match step(stream, &to) {
        Ok(()) | Err(Errno::ISCONN) => Ok(()),
        Err(Errno::ALREADY) => Err(io::ErrorKind::WouldBlock.into()),
        Err(failed) => Err(failed.into()),
    }
}
