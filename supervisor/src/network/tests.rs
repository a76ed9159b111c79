//! With a real namespace, which only root can make: an ordinary user's kernel says no, and that is
//! all that can be tried then.

use super::{Inside, enter, lead};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt;
use sandboxd_egress_plan::{PROXY, Ways};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn led() -> Option<(OwnedFd, Inside)> {
    match sandboxd_kernel::process::network_namespace() {
        Ok(namespace) => {
            let inside =
                lead(&namespace, Ways::Both).unwrap_or_else(|error| panic!("{}", error.line()));
            Some((namespace, inside))
        }
        Err(errno) => {
            assert_eq!(errno, Errno::PERM);
            assert!(!rustix::process::geteuid().is_root());
            None
        }
    }
}

/// What a program in there comes to.
fn within<T: Send>(namespace: &OwnedFd, program: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let program = scope.spawn(|| {
            enter(namespace.as_fd()).unwrap_or_else(|error| panic!("{}", error.line()));
            program()
        });
        program.join().unwrap_or_else(|_| panic!("the program panicked"))
    })
}

/// The next connection, or a failure where none comes.
fn accepted(listener: &TcpListener) -> TcpStream {
    let mut waiting = [PollFd::new(listener, PollFlags::IN)];
    let patience = PATIENCE.try_into().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(poll(&mut waiting, Some(&patience)), Ok(1), "no connection came");
    listener.accept().unwrap_or_else(|error| panic!("{error}")).0
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_connection_to_anywhere_arrives_and_says_whom_it_was_for() {
    let Some((namespace, inside)) = led() else { return };
    let mut listeners = inside.transparent.into_iter().map(TcpListener::from);
    let (Some(v4), Some(v6)) = (listeners.next(), listeners.next()) else {
        panic!("this kernel has no IPv6");
    };
    for meant in
        ["198.18.0.1:443", "8.8.8.8:53", "169.254.169.254:80", "[fd00::1]:443", "[2001:db8::7]:22"]
    {
        let meant = address(meant);
        let mut client = within(&namespace, || TcpStream::connect_timeout(&meant, PATIENCE))
            .unwrap_or_else(|error| panic!("{meant}: {error}"));
        let listener = if meant.is_ipv4() { &v4 } else { &v6 };
        let mut server = accepted(listener);
        let original = if meant.is_ipv4() {
            sockopt::ip_original_dst(&server).map(SocketAddr::V4)
        } else {
            sockopt::ipv6_original_dst(&server).map(SocketAddr::V6)
        };
        assert_eq!(
            original.map(|found| (found.ip(), found.port())),
            Ok((meant.ip(), meant.port()))
        );
        let mut heard = [0; 5];
        client.write_all(b"hello").unwrap_or_else(|error| panic!("{error}"));
        server.read_exact(&mut heard).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&heard, b"hello");
    }
}

#[test]
fn the_loopback_interface_is_left_to_the_programs_inside() {
    let Some((namespace, inside)) = led() else { return };
    let listeners: Vec<_> = inside.transparent.into_iter().map(TcpListener::from).collect();
    within(&namespace, || {
        for own in ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0"] {
            let own = TcpListener::bind(address(own)).unwrap_or_else(|error| panic!("{error}"));
            let at = own.local_addr().unwrap_or_else(|error| panic!("{error}"));
            drop(TcpStream::connect_timeout(&at, PATIENCE).unwrap_or_else(|e| panic!("{e}")));
            drop(accepted(&own));
        }
        let nobody = TcpStream::connect_timeout(&address("127.0.0.1:1"), PATIENCE);
        assert_eq!(nobody.err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    });
    for listener in listeners {
        listener.set_nonblocking(true).unwrap_or_else(|error| panic!("{error}"));
        let none = listener.accept();
        assert_eq!(none.err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    }
}

#[test]
fn names_are_asked_for_at_port_53_and_nothing_else_hears_a_datagram() {
    let Some((namespace, inside)) = led() else { return };
    let responders: Vec<_> = inside.dns_datagram.into_iter().map(UdpSocket::from).collect();
    for asked in ["127.0.0.1:53", "8.8.8.8:53", "[::1]:53"] {
        let asked = address(asked);
        let responder = responders
            .iter()
            .find(|one| one.local_addr().is_ok_and(|own| own.is_ipv4() == asked.is_ipv4()))
            .unwrap_or_else(|| panic!("nobody answers {asked}"));
        responder.set_read_timeout(Some(PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
        let client = within(&namespace, || {
            let any = if asked.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let client = UdpSocket::bind(address(any))?;
            client.connect(asked)?;
            client.send(b"where?").map(|_| client)
        });
        let client = client.unwrap_or_else(|error| panic!("{asked}: {error}"));
        let mut heard = [0; 16];
        let (length, from) =
            responder.recv_from(&mut heard).unwrap_or_else(|error| panic!("{asked}: {error}"));
        assert_eq!(heard.get(..length), Some(b"where?".as_slice()));
        // The client hears only whom it asked: the answer comes from there.
        responder.send_to(b"there", from).unwrap_or_else(|error| panic!("{asked}: {error}"));
        client.set_read_timeout(Some(PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
        let length = client.recv(&mut heard).unwrap_or_else(|error| panic!("{asked}: {error}"));
        assert_eq!(heard.get(..length), Some(b"there".as_slice()));
    }
    within(&namespace, || {
        let client = UdpSocket::bind(address("0.0.0.0:0")).unwrap_or_else(|e| panic!("{e}"));
        client.connect(address("8.8.8.8:443")).unwrap_or_else(|error| panic!("{error}"));
        client.set_read_timeout(Some(PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
        client.send(b"quic").unwrap_or_else(|error| panic!("{error}"));
        let refused = client.recv(&mut [0; 16]);
        assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    });
}

#[test]
fn a_namespace_that_is_led_already_is_not_led_twice() {
    let Some((namespace, _inside)) = led() else { return };
    assert!(lead(&namespace, Ways::Transparent).is_err());
}

#[test]
fn with_a_proxy_alone_nothing_else_leads_anywhere() {
    let Ok(namespace) = sandboxd_kernel::process::network_namespace() else { return };
    let inside = lead(&namespace, Ways::Proxy).unwrap_or_else(|error| panic!("{}", error.line()));
    assert!(inside.transparent.is_empty());
    let proxy: Vec<_> = inside.proxy.into_iter().map(TcpListener::from).collect();
    within(&namespace, || {
        for elsewhere in ["8.8.8.8:443", "198.18.0.1:443", "[2001:db8::7]:443"] {
            let refused = TcpStream::connect_timeout(&address(elsewhere), PATIENCE);
            let kind = refused.err().map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::NetworkUnreachable), "{elsewhere}");
        }
        let asked = TcpStream::connect_timeout(&PROXY.into(), PATIENCE);
        drop(asked.unwrap_or_else(|error| panic!("{error}")));
    });
    let [proxy] = proxy.as_slice() else { panic!("there is one proxy") };
    drop(accepted(proxy));
}
