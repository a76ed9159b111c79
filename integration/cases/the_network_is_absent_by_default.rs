//! Without a word about the network there is none: no socket, no interface, nobody to reach, and no socket
//! of the caller's in the place of a standard stream.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use sandboxd_integration::{By, Case, Inside, Listener, Outside};
use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["N01", "N02", "N19"],
    outside,
    probes: &[("reach", reach), ("dial", dial)],
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
    listener.heard_nothing()?;
    for base in ["base", "container"] {
        for number in 0..3 {
            given_a_socket(outside, base, number)?;
        }
    }
    Ok(())
}

/// Runs the product by hand, with a socket of the host's network as one of its streams.
fn given_a_socket(outside: &Outside, base: &str, number: i32) -> Result<()> {
    let what = format!("{base}, stream {number}");
    let listener = UdpSocket::bind("127.0.0.1:0")?;
    listener.set_read_timeout(Some(Duration::from_millis(10)))?;
    let port = listener.local_addr()?.port();
    let profile = outside.dir().join("socket.toml");
    fs::write(&profile, format!("extends = [\"builtin:{base}\"]\n"))?;
    let own = std::env::current_exe()?;
    let case = "the_network_is_absent_by_default";
    let mut command = Command::new(own.with_file_name("sandboxd"));
    command.args(["run", "-q", "-p"]).arg(profile).args(outside.waivers());
    let (probe, shown) = (format!("{}:/probe:execute", own.display()), own.display().to_string());
    match base {
        "base" => command.args(["--bind", &probe, "--", "/probe"]),
        _ => command.args(["-x", &shown, "--", &shown]),
    };
    command.args(["probe", case, "dial", &number.to_string(), &port.to_string()]);
    command.env("XDG_STATE_HOME", outside.state()).env("TMPDIR", outside.dir().join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let socket: Stdio = OwnedFd::from(UdpSocket::bind("127.0.0.1:0")?).into();
    match number {
        0 => command.stdin(socket),
        1 => command.stdout(socket),
        _ => command.stderr(socket),
    };
    let ended = command.spawn()?.wait_with_output()?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(listener.recv(&mut [0; 8]).is_err(), "{what}: it reached the host: {said}");
    ensure!(ended.status.code() == Some(125), "{what}: {}: {said}", ended.status);
    let told = said.contains("with which the command could connect to hosts")
        && said.contains("put a pipe in between");
    ensure!(number == 2 || told, "{what}: {said}");
    Ok(())
}

fn dial(inside: &Inside) -> Result<()> {
    let (number, port) = (inside.argument(0)?.parse()?, inside.argument(1)?.parse()?);
    sendto(number, b"x", &SockaddrIn::new(127, 0, 0, 1, port), MsgFlags::empty())?;
    Ok(())
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
