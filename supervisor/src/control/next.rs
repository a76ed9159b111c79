//! Waiting for whoever connects to a socket of a run.

use super::PAUSE;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

/// Whoever comes next; nobody once the run is over, or whoever they are let in to is `gone`.
///
/// # Errors
/// Where the kernel tells no more who comes: nobody is let in from then on. In words, for the end of the run.
pub(super) fn next_stream(
    closed: &OwnedFd,
    socket: &OwnedFd,
    gone: Option<&OwnedFd>,
    flags: SocketFlags,
) -> Result<Option<OwnedFd>, String> {
    loop {
        let mut fds = [
            PollFd::new(closed, PollFlags::IN),
            PollFd::new(socket, PollFlags::IN),
            // Nothing is heard there; its end is told without being asked for.
            PollFd::new(gone.unwrap_or(closed), PollFlags::empty()),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            // Nothing was told of any of them.
            Err(Errno::INTR) => continue,
            Err(Errno::NOMEM) => {
                std::thread::sleep(PAUSE);
                continue;
            }
            Err(errno) => return Err(crate::explain::errno(errno.raw_os_error())),
        }
        let [over, connected, gone] = fds.map(|fd| !fd.revents().is_empty());
        if over || gone {
            return Ok(None);
        }
        if !connected {
            continue;
        }
        match accept_with(socket, flags) {
            Ok(stream) => return Ok(Some(stream)),
            Err(Errno::INTR | Errno::AGAIN | Errno::CONNABORTED) => {}
            // Without a descriptor left, as a rule. Whoever waits goes on waiting.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// What is told at the end of a run of a socket that nobody was let in by any more.
pub(super) fn deaf(name: &str, why: &str) -> String {
    format!("the socket for {name} accepts no more connections: poll: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketType, bind, connect, getsockname, listen, socket_with,
    };
    use rustix::pipe::{PipeFlags, pipe_with};

    fn stream() -> OwnedFd {
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn whoever_connects_is_let_in_and_nobody_once_it_is_over() {
        let (closed, closes) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (line, broker) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let socket = stream();
        let name = format!("sandboxd-next-{}", std::process::id());
        bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
        listen(&socket, 8).unwrap();
        let address = getsockname(socket.as_fd()).unwrap();
        let client = stream();
        connect(&client, &address).unwrap();
        let next = |gone| next_stream(&closed, &socket, gone, SocketFlags::CLOEXEC).unwrap();
        assert!(next(Some(&line)).is_some());
        drop(broker);
        assert!(next(Some(&line)).is_none());
        connect(stream(), &address).unwrap();
        assert!(next(None).is_some());
        drop(closes);
        assert!(next(None).is_none());
    }
}
