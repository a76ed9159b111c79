//! The next connection or datagram, whatever passes meanwhile.

use rustix::io::Errno;
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

/// How long nothing is taken after that failed: there are no descriptors left, as a rule, and some must
/// be given back first.
const PAUSE: Duration = Duration::from_millis(50);

/// The next connection.
///
/// # Errors
/// Where there will never be one.
pub(super) async fn connection(listener: &TcpListener) -> io::Result<TcpStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) => waited_out(error).await?,
        }
    }
}

/// The next connection of a program that is on this machine.
///
/// # Errors
/// Where there will never be one.
pub(super) async fn local(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) => waited_out(error).await?,
        }
    }
}

/// The next datagram.
///
/// # Errors
/// Where there will never be one.
pub(super) async fn datagram(socket: &UdpSocket, to: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    loop {
        match socket.recv_from(to).await {
            Ok(received) => return Ok(received),
            Err(error) => waited_out(error).await?,
        }
    }
}

/// accept(2) tells of whatever befell the connection that it was to give; these are the socket's own, or
/// of whoever confines this process, and stay.
async fn waited_out(error: io::Error) -> io::Result<()> {
    let stays = [
        Errno::NOSYS,
        Errno::PERM,
        Errno::ACCESS,
        Errno::BADF,
        Errno::INVAL,
        Errno::NOTSOCK,
        Errno::FAULT,
    ];
    if Errno::from_io_error(&error).is_none_or(|errno| stays.contains(&errno)) {
        return Err(error);
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}
