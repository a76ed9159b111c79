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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, time::Instant};
    use tokio::runtime::{Builder, LocalOptions};

    fn try_to(to: SocketAddr, wait: Duration) -> io::Result<TcpStream> {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(connect(to, wait))
    }

    #[test]
    fn what_stays_here_is_sent_at_once_and_unpaced_on_both_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        inside(&listener).unwrap();
        let made = try_to(listener.local_addr().unwrap(), Duration::from_secs(60)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(sockopt::tcp_nodelay(&accepted).unwrap() && sockopt::tcp_nodelay(&made).unwrap());
        assert_eq!(sockopt::tcp_congestion(&accepted).unwrap(), UNPACED);
        assert_eq!(sockopt::tcp_congestion(&made).unwrap(), UNPACED);
    }

    #[test]
    fn nobody_listens_or_nobody_answers() {
        let bound = || {
            let flags = SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
            rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            socket
        };
        // Kept, so that its port is nobody else's.
        let deaf = TcpListener::from(bound());
        let refused = try_to(deaf.local_addr().unwrap(), Duration::from_secs(60)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        drop(deaf);
        // One that has as many waiting as it wants hears no more.
        let full = bound();
        rustix::net::listen(&full, 0).unwrap();
        let listener = TcpListener::from(full);
        let to = listener.local_addr().unwrap();
        let waiting = try_to(to, Duration::from_secs(60)).unwrap();
        let from = Instant::now();
        let slow = try_to(to, Duration::from_millis(50)).unwrap_err();
        assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
        assert!(from.elapsed() >= Duration::from_millis(50));
        drop(waiting);
    }
}
