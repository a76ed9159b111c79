//! A port of the host's loopback that is named is reached as `host.internal`, and no other is; what listens at
//! the sandbox's own loopback is the sandbox's own, and nobody outside gets there. By the proxy it is the same.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Outside};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};

pub(crate) const CASE: Case = Case {
    rows: &["N17", "N18"],
    outside,
    probes: &[("reach", reach), ("by_proxy", by_proxy)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let [named, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
    let (named, other) = (named?, other?);
    let [port, others] =
        [&named, &other].map(|listener| Ok::<_, io::Error>(listener.local_addr()?.port()));
    let (port, others) = (port?, others?);
    std::thread::spawn(move || {
        for mut stream in named.incoming().flatten() {
            // Who does not read it has not reached it.
            stream.write_all(b"reached").ok();
        }
    });
    let profile = format!(
        "extends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\n\
         egress = [\"tcp://host.internal:{port}\"]\n"
    );
    let ports = [port.to_string(), others.to_string()];
    let run = outside.sandbox(&profile).probe("reach", &[&ports[0], &ports[1]]).run()?;
    run.exited(0)?;
    run.allowed("named")?.allowed("own")?;
    for refused in ["other", "address", "own name for it", "unknown name"] {
        let errno = run.errno(refused)?;
        ensure!(errno != 0, "{refused}: was let through");
    }
    other.set_nonblocking(true)?;
    let came = other.accept().err().map(|error| error.kind());
    ensure!(came == Some(ErrorKind::WouldBlock), "somebody came to the other port");
    // Whoever asks is told what the command met.
    for (port, status) in [(port, 0), (others, 1)] {
        let asked = outside.sandbox(&profile).verb("why");
        asked.option(format!("--host=host.internal:{port}")).run()?.exited(status)?;
    }
    let receipt = run.receipt.as_ref().context("no receipt")?;
    ensure!(
        receipt.pointer("/egress/by").is_some_and(|by| by == "redirect"),
        "the receipt: {receipt}"
    );
    ensure!(
        run.stderr.contains(&format!("host.internal:{others}: no rule names it")),
        "{}",
        run.stderr
    );

    let run = outside.sandbox(&format!("{profile}way = \"proxy\"\n"));
    let run = run.probe("by_proxy", &[&ports[0], &ports[1]]).run()?;
    run.exited(0)?;
    run.allowed("named")?;
    for refused in ["other", "the proxy's own host", "named, without the proxy"] {
        ensure!(run.errno(refused)? != 0, "{refused}: was let through");
    }
    let receipt = run.receipt.as_ref().context("no receipt")?;
    ensure!(
        receipt.pointer("/egress/by").is_some_and(|by| by == "proxy"),
        "the receipt: {receipt}"
    );
    let came = other.accept().err().map(|error| error.kind());
    ensure!(came == Some(ErrorKind::WouldBlock), "somebody came to the other port by the proxy");
    Ok(())
}

fn ask(to: &str) -> io::Result<()> {
    let address = to.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let mut said = String::new();
    TcpStream::connect(address)?.read_to_string(&mut said)?;
    if said == "reached" { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn reach(inside: &Inside) -> Result<()> {
    let (named, other) = (inside.argument(0)?, inside.argument(1)?);
    inside.attempt("named", ask(&format!("host.internal:{named}")));
    inside.attempt("other", ask(&format!("host.internal:{other}")));
    inside.attempt("address", ask(&format!("127.0.0.1:{named}")));
    inside.attempt("own name for it", ask(&format!("localhost:{named}")));
    inside.attempt("unknown name", ask(&format!("example.com:{named}")));
    let own = TcpListener::bind("127.0.0.1:0")?;
    let at = own.local_addr()?;
    std::thread::spawn(move || {
        own.incoming().flatten().try_for_each(|mut one| one.write_all(b"reached"))
    });
    inside.attempt("own", ask(&at.to_string()));
    Ok(())
}

/// The same by the proxy that the variables name.
fn by_proxy(inside: &Inside) -> Result<()> {
    let (named, other) = (inside.argument(0)?, inside.argument(1)?);
    let proxy = std::env::var("HTTPS_PROXY")?;
    let proxy = proxy.strip_prefix("http://").context("the proxy")?;
    let connect = |to: String| -> io::Result<()> {
        let mut tunnel = TcpStream::connect(proxy)?;
        write!(tunnel, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")?;
        let mut said = String::new();
        tunnel.read_to_string(&mut said)?;
        if said.ends_with("\r\n\r\nreached") {
            Ok(())
        } else {
            Err(ErrorKind::PermissionDenied.into())
        }
    };
    inside.attempt("named", connect(format!("host.internal:{named}")));
    inside.attempt("other", connect(format!("host.internal:{other}")));
    inside.attempt("the proxy's own host", connect(format!("127.0.0.1:{named}")));
    inside.attempt("named, without the proxy", ask(&format!("host.internal:{named}")));
    Ok(())
}
