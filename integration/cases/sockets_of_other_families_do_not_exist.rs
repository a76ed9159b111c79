//! Only Unix sockets can be made without a network, and with the host's only TCP, UDP and the listing
//! of interfaces besides: no vsock, which knows no namespaces, no raw, MPTCP or SCTP socket, and no
//! connection hidden in a send.
//!
//! Layers: seccomp; the network namespace for whatever would be sent without a network.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Listener, Outside};

pub(crate) const CASE: Case = Case {
    rows: &["K06", "K15", "N03", "N06", "E22", "E32"],
    outside,
    probes: &[("none", none), ("host", host)],
    by: By::Anybody,
    ..Case::NEW
};

/// `AF_UNIX`, `AF_INET`, `AF_INET6`, `AF_NETLINK`, `AF_PACKET`, `AF_VSOCK`.
const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;
const PACKET: u64 = 17;
const VSOCK: u64 = 40;

/// One more than the highest family of this kernel and the next ones.
const FAMILIES: u64 = 64;

/// Stream, datagram, raw, sequenced packets, DCCP and packet.
const TYPES: &[u64] = &[1, 2, 3, 5, 6, 10];

/// Bits that the kernel does not look at.
const JUNK: u64 = 0x1_0000_0000;

/// Family, type and protocol of what passes by the checks of TCP and UDP.
const ODD: &[(&str, [u64; 3])] = &[
    ("mptcp", [INET, 1, 262]),
    ("mptcp6", [INET6, 1, 262]),
    ("sctp", [INET, 1, 132]),
    ("sctp packets", [INET, 5, 132]),
    ("udplite", [INET, 2, 136]),
    ("dccp", [INET, 6, 33]),
    ("ping", [INET, 2, 1]),
    ("ping6", [INET6, 2, 58]),
    ("raw", [INET, 3, 255]),
    ("raw tcp", [INET, 3, 6]),
    ("packet", [PACKET, 3, 0]),
    ("packet datagrams", [PACKET, 2, 0x300]),
    ("sock_diag", [NETLINK, 3, 4]),
    ("audit", [NETLINK, 3, 9]),
    ("netfilter", [NETLINK, 3, 12]),
    ("uevents", [NETLINK, 3, 15]),
    ("crypto", [NETLINK, 3, 21]),
];

fn outside(outside: &Outside) -> Result<()> {
    let listener = Listener::open()?;
    let port = listener.port().to_string();
    let run = outside.sandbox("extends = [\"builtin:base\"]\n").probe("none", &[]).run()?;
    run.ran()?;
    for (attempt, errno) in run.attempts() {
        let unix = attempt.starts_with("family 1 ");
        ensure!(unix || errno == libc::EAFNOSUPPORT, "{attempt}: {:?}", Errno::from_raw(errno));
    }
    run.allowed("family 1 type 1")?.allowed("family 1 type 2")?.allowed("family 1 type 5")?;
    run.refused("family 1 type 10", &[Errno::EAFNOSUPPORT])?;

    let profile =
        "extends = [\"builtin:base\"]\n[network]\nmode = \"host\"\nreason = \"to try sockets\"\n";
    let run = outside.sandbox(profile).probe("host", &[&port]).run()?;
    run.ran()?.allowed("tcp")?.allowed("udp")?.allowed("route")?;
    for (name, _) in ODD {
        run.refused(name, &[Errno::EAFNOSUPPORT])?;
        run.refused(&format!("{name} with junk"), &[Errno::EAFNOSUPPORT])?;
    }
    for cid in 0..3 {
        run.refused(&format!("vsock to {cid}"), &[Errno::EAFNOSUPPORT])?;
    }
    for family in (0..FAMILIES).filter(|family| ![UNIX, INET, INET6, NETLINK].contains(family)) {
        run.refused(&format!("family {family}"), &[Errno::EAFNOSUPPORT])?;
    }
    for call in ["sendto", "sendmsg", "sendmmsg"] {
        run.refused(&format!("{call} fast"), &[Errno::EOPNOTSUPP])?;
        run.refused(&format!("{call} fast with junk"), &[Errno::EOPNOTSUPP])?;
    }
    run.refused("socketpair of TIPC", &[Errno::EAFNOSUPPORT])?;
    run.refused("upper layer protocol", &[Errno::ENOENT])?;
    listener.heard_nothing()
}

fn socket(words: [u64; 3]) -> nix::Result<i64> {
    let made = raw::call_numbers(libc::SYS_socket, &words)?;
    raw::call_numbers(libc::SYS_close, &[made.cast_unsigned()])
}

fn none(inside: &Inside) -> Result<()> {
    for family in 0..FAMILIES {
        for kind in TYPES {
            inside.attempt(&format!("family {family} type {kind}"), socket([family, *kind, 0]));
        }
        if family != UNIX {
            let junk = socket([family | JUNK, 1 | JUNK, JUNK]);
            inside.attempt(&format!("family {family} with junk"), junk);
        }
    }
    for (name, words) in ODD {
        inside.attempt(name, socket(*words));
    }
    // 1 in the lower half is a Unix socket, and 1 in the upper half is nothing.
    inside.attempt("family 1 in the upper half only", socket([0x1_0000_0000, 1, 0]));
    for cid in [0, 1, 2] {
        inside.attempt(&format!("vsock to {cid}"), vsock(cid));
    }
    Ok(())
}

/// Connects to a port of the machine outside, the hypervisor or itself.
fn vsock(cid: u32) -> nix::Result<i64> {
    let made = raw::call_numbers(libc::SYS_socket, &[VSOCK, 1, 0])?.cast_unsigned();
    // `struct sockaddr_vm`: family, reserved, port, cid.
    let mut address = [0; 16];
    address[0] = 40;
    address[4] = 22;
    address[8..12].copy_from_slice(&cid.to_ne_bytes());
    let mut words = [Argument::Number(made), Argument::Bytes(&address), Argument::Number(16)];
    raw::call(libc::SYS_connect, &mut words)
}

fn host(inside: &Inside) -> Result<()> {
    let port: u16 = inside.argument(0)?.parse()?;
    inside.attempt("tcp", socket([INET, 1, 6]));
    inside.attempt("udp", socket([INET6, 2, 17]));
    inside.attempt("route", socket([NETLINK, 2, 0]));
    for (name, [family, kind, protocol]) in ODD {
        inside.attempt(name, socket([*family, *kind, *protocol]));
        let junk = socket([family | JUNK, kind | JUNK, protocol | JUNK]);
        inside.attempt(&format!("{name} with junk"), junk);
    }
    for family in (0..FAMILIES).filter(|family| ![UNIX, INET, INET6, NETLINK].contains(family)) {
        inside.attempt(&format!("family {family}"), socket([family, 1, 0]));
    }
    for cid in [0, 1, 2] {
        inside.attempt(&format!("vsock to {cid}"), vsock(cid));
    }
    fast_open(inside, port)?;
    let tipc = raw::call_numbers(libc::SYS_socketpair, &[30, 1, 0, 0]);
    inside.attempt("socketpair of TIPC", tipc);
    let tcp = raw::call_numbers(libc::SYS_socket, &[INET, 1, 0])?.cast_unsigned();
    let mut words = [
        Argument::Number(tcp),
        Argument::Number(6),
        Argument::Number(31),
        Argument::Text(c"tls"),
        Argument::Number(3),
    ];
    let set = raw::call(libc::SYS_setsockopt, &mut words);
    inside.attempt("upper layer protocol", set);
    Ok(())
}

/// Connects by sending, which Landlock's rule for connect(2) does not see.
fn fast_open(inside: &Inside, port: u16) -> Result<()> {
    const MSG_FASTOPEN: u64 = 0x2000_0000;
    let tcp = raw::call_numbers(libc::SYS_socket, &[INET, 1, 0])?.cast_unsigned();
    // `struct sockaddr_in` of 127.0.0.1.
    let mut address = [0; 16];
    address[0] = 2;
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    for (how, flags) in [("fast", MSG_FASTOPEN), ("fast with junk", MSG_FASTOPEN | JUNK)] {
        let mut words = [
            Argument::Number(tcp),
            Argument::Bytes(b"x"),
            Argument::Number(1),
            Argument::Number(flags),
            Argument::Bytes(&address),
            Argument::Number(16),
        ];
        inside.attempt(&format!("sendto {how}"), raw::call(libc::SYS_sendto, &mut words));
        // Refused before the message is looked at, or answered with EFAULT.
        let sent = raw::call_numbers(libc::SYS_sendmsg, &[tcp, 0, flags]);
        inside.attempt(&format!("sendmsg {how}"), sent);
        let sent = raw::call_numbers(libc::SYS_sendmmsg, &[tcp, 0, 1, flags]);
        inside.attempt(&format!("sendmmsg {how}"), sent);
    }
    Ok(())
}
