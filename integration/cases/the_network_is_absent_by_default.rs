//! Without a word about the network there is none: no socket, no interface, nobody to reach.

use anyhow::Result;
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Listener, Outside};
use std::net::{TcpStream, UdpSocket};

pub(crate) const CASE: Case = Case {
    rows: &["N01", "N02", "N19"],
    outside,
    probes: &[("reach", reach)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let listener = Listener::open()?;
    let run = outside
        .sandbox("extends = [\"builtin:base\"]\n")
        .probe("reach", &[&listener.port().to_string()])
        .run()?;
    run.ran()?.all_refused()?;
    for attempt in ["tcp", "tcp6", "udp"] {
        run.refused(attempt, &[Errno::EAFNOSUPPORT])?;
    }
    listener.heard_nothing()
}

fn reach(inside: &Inside) -> Result<()> {
    let port: u16 = inside.argument(0)?.parse()?;
    inside.attempt("tcp", TcpStream::connect(("127.0.0.1", port)));
    inside.attempt("tcp6", TcpStream::connect(("::1", port)));
    inside.attempt(
        "udp",
        UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", ("127.0.0.1", port))),
    );
    inside.attempt("metadata", TcpStream::connect("169.254.169.254:80"));
    Ok(())
}
