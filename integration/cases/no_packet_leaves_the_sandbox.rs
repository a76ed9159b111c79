//! No packet leaves a sandbox without a network, whatever the family, type or protocol of the socket
//! and whatever the address is called: no listener of the host hears anything.
//!
//! S refuses the sockets; N has nobody to reach, should one be made.

use anyhow::{Result, ensure};
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Listener, Outside};
use std::io;
use std::net::{TcpListener, UdpSocket};

pub(crate) const CASE: Case = Case {
    rows: &["N01", "N02", "N03", "N19", "E22"],
    outside,
    probes: &[("reach", reach)],
    by: By::Anybody,
    ..Case::NEW
};

/// Type and protocol of sockets of AF_INET and AF_INET6.
const KINDS: &[(&str, u64, u64)] = &[
    ("tcp", 1, 0),
    ("udp", 2, 0),
    ("mptcp", 1, 262),
    ("sctp", 1, 132),
    ("sctp-many", 5, 132),
    ("udplite", 2, 136),
    ("dccp", 6, 33),
    ("ping", 2, 1),
    ("ping6", 2, 58),
    ("raw-icmp", 3, 1),
    ("raw", 3, 255),
];

fn outside(outside: &Outside) -> Result<()> {
    let listener = Listener::open()?;
    let port = listener.port();
    // The host's loopback by IPv6, and every address of it, on the same port.
    let six = TcpListener::bind(("::1", port)).ok();
    let any = UdpSocket::bind(("::", port)).ok();
    for socket in six.iter() {
        socket.set_nonblocking(true)?;
    }
    for socket in any.iter() {
        socket.set_nonblocking(true)?;
    }
    let own = own_address().unwrap_or_else(|| "127.0.0.2".to_owned());
    let profile = "extends = [\"builtin:base\"]\n";
    for base in ["default", "network-server"] {
        let profile = format!("{profile}[syscalls]\nbase = \"{base}\"\n");
        let run = outside.sandbox(&profile).probe("reach", &[&port.to_string(), &own]).run()?;
        run.ran()?.all_refused()?;
        ensure!(run.attempts().count() > 30, "too little was tried");
    }
    listener.heard_nothing()?;
    if let Some(six) = six {
        let heard = six.accept();
        ensure!(nothing(heard.as_ref().err()), "::1 was reached: {heard:?}");
    }
    if let Some(any) = any {
        let heard = any.recv_from(&mut [0; 64]);
        ensure!(nothing(heard.as_ref().err()), "a datagram came: {heard:?}");
    }
    Ok(())
}

fn nothing(error: Option<&io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// An address of the host other than loopback: the one it would send from.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn reach(inside: &Inside) -> Result<()> {
    let port: u16 = inside.argument(0)?.parse()?;
    let own: std::net::Ipv4Addr = inside.argument(1)?.parse()?;
    let four = |address: [u8; 4]| {
        let mut bytes = 2_u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend(address);
        bytes.extend([0; 8]);
        bytes
    };
    let six = |address: [u16; 8]| {
        let mut bytes = 10_u16.to_ne_bytes().to_vec();
        bytes.extend(port.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(address.iter().flat_map(|part| part.to_be_bytes()));
        bytes.extend([0; 4]);
        bytes
    };
    let addresses = [
        ("loopback", 2, four([127, 0, 0, 1])),
        ("host", 2, four(own.octets())),
        ("metadata", 2, four([169, 254, 169, 254])),
        ("loopback6", 10, six([0, 0, 0, 0, 0, 0, 0, 1])),
        ("mapped", 10, six([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1])),
        ("link-local", 10, six([0xfe80, 0, 0, 0, 0, 0, 0, 1])),
    ];
    for (place, family, address) in &addresses {
        for (kind, number, protocol) in KINDS {
            let what = format!("{kind} to {place}");
            inside.attempt(&what, send(*family, *number, *protocol, address));
        }
    }
    // What is no internet address and goes past the network namespace.
    for (name, family) in [("vsock", 40), ("packet", 17), ("bluetooth", 31), ("qipcrtr", 42)] {
        inside.attempt(name, raw::call_numbers(libc::SYS_socket, &[family, 3, 0]));
    }
    Ok(())
}

/// Connects and sends; where connecting is refused, sends without, with data in the first packet.
fn send(family: u64, kind: u64, protocol: u64, address: &[u8]) -> nix::Result<i64> {
    /// `MSG_FASTOPEN | MSG_NOSIGNAL | MSG_DONTWAIT`.
    const FLAGS: u64 = 0x2000_0000 | 0x4000 | 0x40;
    /// `SOCK_NONBLOCK`.
    const NONBLOCK: u64 = 0o4000;
    let socket = raw::call_numbers(libc::SYS_socket, &[family, kind | NONBLOCK, protocol])?;
    let socket = socket.cast_unsigned();
    let length = u64::try_from(address.len()).unwrap_or_default();
    let connected = raw::call(
        libc::SYS_connect,
        &mut [Argument::Number(socket), Argument::Bytes(address), Argument::Number(length)],
    );
    if connected.is_ok() {
        return connected;
    }
    raw::call(
        libc::SYS_sendto,
        &mut [
            Argument::Number(socket),
            Argument::Bytes(b"x"),
            Argument::Number(1),
            Argument::Number(FLAGS),
            Argument::Bytes(address),
            Argument::Number(length),
        ],
    )
}
