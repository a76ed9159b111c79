//! A TCP socket that systemd listens at is in the host's network wherever it is used: a command that gets
//! it answers there, and dials into it with neither the socket nor a connection that it accepted. The same
//! with a Unix socket.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::raw::{self, Argument};
use sandboxd_integration::{By, Case, Inside, Listener, Need, Outside};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

pub(crate) const CASE: Case = Case {
    rows: &["N01", "N05", "N06", "N09"],
    needs: &[Need::Landlock(4)],
    by: By::Anybody,
    outside,
    probes: &[("dial", dial)],
    ..Case::NEW
};

const PROFILE: &str = "extends = [\"builtin:base\"]\n[command]\nsockets = [\"web\"]\n";

fn outside(outside: &Outside) -> Result<()> {
    let listener = Listener::open()?;
    let port = listener.port().to_string();

    let web = TcpListener::bind("127.0.0.1:0")?;
    let _client = TcpStream::connect(web.local_addr()?)?;
    let sandbox = outside.sandbox(PROFILE).listening(&[("web", web.as_fd())])?;
    let run = sandbox.probe("dial", &["tcp", &port]).run()?;
    run.ran()?.all_refused()?;
    for way in ["again", "accepted", "shut down"] {
        run.refused(&format!("connect, {way}"), &[Errno::EACCES])?;
        run.refused(&format!("fast open, {way}"), &[Errno::EOPNOTSUPP])?;
        run.refused(&format!("fast open by sendmsg, {way}"), &[Errno::EOPNOTSUPP])?;
    }
    listener.heard_nothing()?;

    // Whose names without a file are those of the host's network, too.
    let name = format!("sandboxd-case-{}", std::process::id());
    let canary = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    canary.set_nonblocking(true)?;
    let path = outside.dir().join("web.sock");
    let web = UnixListener::bind(&path)?;
    let _client = UnixStream::connect(&path)?;
    let sandbox = outside.sandbox(PROFILE).listening(&[("web", web.as_fd())])?;
    let run = sandbox.probe("dial", &["unix", &name]).run()?;
    run.ran()?.all_refused()?;
    ensure!(run.attempts().count() == 6, "not everything was tried");
    ensure!(canary.accept().is_err(), "somebody connected");
    Ok(())
}

fn dial(inside: &Inside) -> Result<()> {
    if inside.argument(0)? == "unix" {
        return dial_unix(inside);
    }
    let port: u16 = inside.argument(1)?.parse()?;
    let [high, low] = port.to_be_bytes();
    let address = [2, 0, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let accepted = raw::accept(3)?;
    disconnect(3);
    dial_tcp(inside, 3, "again", &address);
    let number = u64::from(accepted.as_raw_fd().cast_unsigned());
    disconnect(number);
    dial_tcp(inside, number, "accepted", &address);
    // Another way out of listening.
    raw::call_numbers(libc::SYS_listen, &[3, 1]).ok();
    raw::call_numbers(libc::SYS_shutdown, &[3, 0]).ok();
    dial_tcp(inside, 3, "shut down", &address);
    // A port of the attacker's choice.
    let other = [2, 0, high, low.wrapping_add(1), 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    inside.attempt("bind", with_address(libc::SYS_bind, 3, &other));
    Ok(())
}

fn dial_unix(inside: &Inside) -> Result<()> {
    let mut address = [&[1, 0, 0][..], inside.argument(1)?.as_bytes()].concat();
    let length = u64::try_from(address.len())?;
    address.resize(110, 0);
    let accepted = raw::accept(3)?;
    let accepted = u64::from(accepted.as_raw_fd().cast_unsigned());
    for (way, socket) in [("listening", 3), ("accepted", accepted)] {
        for state in ["at first", "disconnected", "shut down"] {
            if state == "disconnected" {
                disconnect(socket);
            }
            if state == "shut down" {
                raw::call_numbers(libc::SYS_shutdown, &[socket, 2]).ok();
            }
            let words = &mut [
                Argument::Number(socket),
                Argument::Bytes(&address),
                Argument::Number(length),
            ];
            inside.attempt(&format!("{way} {state}"), raw::call(libc::SYS_connect, words));
        }
    }
    Ok(())
}

/// connect(2) with `AF_UNSPEC`: it is what a socket that listens or is connected is no more.
fn disconnect(socket: u64) {
    with_address(libc::SYS_connect, socket, &[0; 16]).ok();
}

fn with_address(call: i64, socket: u64, address: &[u8]) -> nix::Result<i64> {
    raw::call(call, &mut [Argument::Number(socket), Argument::Bytes(address), Argument::Number(16)])
}

fn dial_tcp(inside: &Inside, socket: u64, way: &str, address: &[u8]) {
    const FAST_OPEN: u64 = 0x2000_0000;
    inside.attempt(&format!("connect, {way}"), with_address(libc::SYS_connect, socket, address));
    let sent = raw::call(
        libc::SYS_sendto,
        &mut [
            Argument::Number(socket),
            Argument::Bytes(b"x"),
            Argument::Number(1),
            Argument::Number(FAST_OPEN),
            Argument::Bytes(address),
            Argument::Number(16),
        ],
    );
    inside.attempt(&format!("fast open, {way}"), sent);
    let mut header = Vec::new();
    let (address, length) = (address.as_ptr().expose_provenance(), 16_usize);
    for word in [address, length, 0, 0, 0, 0, 0] {
        header.extend(word.to_ne_bytes());
    }
    let sent = raw::call(
        libc::SYS_sendmsg,
        &mut [Argument::Number(socket), Argument::Bytes(&header), Argument::Number(FAST_OPEN)],
    );
    inside.attempt(&format!("fast open by sendmsg, {way}"), sent);
}
