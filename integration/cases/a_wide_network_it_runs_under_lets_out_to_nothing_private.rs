//! A network of a profile that something is run under lets out to what it lets out to by itself: one that
//! is wide to nothing private, and none to an address of the host's own that it does not write exactly,
//! whatever the profile below it writes.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::answer;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

pub(crate) const CASE: Case = Case {
    rows: &["N11", "N12", "N17"],
    needs: &[Need::Program(IP)],
    outside,
    probes: &[("reach", reach)],
    ..Case::NEW
};

/// Addresses that are nobody's on the internet; the last is the host's own.
const ADDRESSES: [Ipv4Addr; 4] = [
    Ipv4Addr::new(203, 0, 113, 7),
    Ipv4Addr::new(10, 99, 0, 1),
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(198, 51, 100, 9),
];

const NARROW: &str = "extends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\negress = [\n\
    \"tcp://203.0.113.7:7000\", \"tcp://203.0.113.7:80\", \"tcp://10.0.0.0/8:80\",\n\
    \"tcp://169.254.169.254:80\", \"tcp://198.51.100.9:80\" ]\n";
const WIDE: &str = "extends = [\"builtin:base\"]\n[files]\nbind = []\n[network]\nmode = \"egress\"\negress = [\n\
    \"tcp://203.0.113.0/24:7000\", \"tcp://0.0.0.0/0:80\", \"tcp://198.51.100.0/24:80\" ]\n";

/// What both let out.
const SHARED: &str = "203.0.113.7:7000";
const NARROW_ALONE: [&str; 4] =
    ["203.0.113.7:80", "10.99.0.1:80", "169.254.169.254:80", "198.51.100.9:80"];

fn outside(outside: &Outside) -> Result<()> {
    let [somewhere, inner, metadata, own] = ADDRESSES;
    let hosts = [("a.example", somewhere), ("b.example", inner), ("c.example", metadata)];
    let _world = World::enter(outside, &hosts)?;
    let own = format!("{own}/32");
    let added = Command::new(IP).args(["address", "add", &own, "dev", "lo"]).status();
    ensure!(added.context(IP)?.success(), "the host gets no address");
    for address in ADDRESSES {
        for port in [80, 7000] {
            let listener = TcpListener::bind((address, port))?;
            thread::spawn(move || listener.incoming().flatten().for_each(|one| answer(&one)));
        }
    }
    let alone = outside.sandbox(NARROW).probe("reach", &[]).run()?;
    for to in NARROW_ALONE.iter().chain([&SHARED]) {
        alone.allowed(to)?;
    }
    let site = outside.site(WIDE)?;
    let under =
        outside.sandbox(NARROW).option("--under").option(&site).probe("reach", &[]).run()?;
    under.allowed(SHARED)?;
    for to in NARROW_ALONE {
        ensure!(under.allowed(to).is_err(), "{to} is let out");
    }
    Ok(())
}

fn reach(inside: &Inside) -> Result<()> {
    for to in NARROW_ALONE.iter().chain([&SHARED]) {
        inside.attempt(to, ask(to));
    }
    Ok(())
}

fn ask(to: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")?;
    match stream.read(&mut [0; 64])? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
