//! A name that leads first to where it may and then inwards, turn about, is asked for once for each connection,
//! which goes to the address that was looked at; one for which the answer leads inwards goes nowhere.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::answer;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, patience};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["N11", "E15"],
    needs: &[Need::Program(IP)],
    outside,
    probes: &[("reach", reach)],
    ..Case::NEW
};

/// Where the names may lead.
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// Where each leads the next time.
const INWARDS: [(&str, Ipv4Addr); 3] = [
    ("inner.example", Ipv4Addr::new(10, 99, 0, 1)),
    ("metadata.example", Ipv4Addr::new(169, 254, 169, 254)),
    ("loopback.example", Ipv4Addr::LOCALHOST),
];
/// Connections to each, of which every other one is led inwards.
const TURNS: usize = 4;
/// One of them carries bytes, the other requests.
const PORTS: [(&str, u16); 2] = [("tcp", 7000), ("http", 80)];

fn outside(outside: &Outside) -> Result<()> {
    let hosts: Vec<(&str, Ipv4Addr)> = INWARDS
        .iter()
        .flat_map(|(name, inwards)| [(*name, SOMEWHERE), (*name, *inwards)])
        .collect();
    let world = World::enter(outside, &hosts)?;
    let open = |address: Ipv4Addr, port: u16| {
        TcpListener::bind((address, port)).with_context(|| format!("{address}:{port}"))
    };
    let mut egress = Vec::new();
    let came = Arc::new(AtomicUsize::new(0));
    for (scheme, port) in PORTS {
        let listener = open(SOMEWHERE, port)?;
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(&stream)));
        for (name, address) in INWARDS {
            let (listener, came) = (open(address, port)?, Arc::clone(&came));
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    came.fetch_add(1, Ordering::Relaxed);
                    answer(&stream);
                }
            });
            let to = format!("{scheme}://{name}:{port}");
            egress.push(format!("{{ to = \"{to}\", within = [\"203.0.113.7/32\"] }}"));
        }
    }
    let profile = format!(
        "extends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\negress = [{}]\n",
        egress.join(", ")
    );
    let run = outside.sandbox(&profile).probe("reach", &[]).run()?;
    run.exited(0)?;
    for (name, _) in INWARDS {
        let went = |scheme: &str, turn: usize| run.errno(&format!("{scheme} {name} {turn}"));
        let went: Vec<bool> = PORTS
            .iter()
            .flat_map(|(scheme, _)| (0..TURNS).map(move |turn| (scheme, turn)))
            .map(|(scheme, turn)| Ok(went(scheme, turn)? == 0))
            .collect::<Result<_>>()?;
        // Once for each family of addresses.
        let asked = world.asked().iter().filter(|asked| *asked == name).count();
        let connections = PORTS.len() * TURNS;
        let every_other =
            went.iter().enumerate().all(|(turn, went)| *went == turn.is_multiple_of(2));
        // Whoever is not answered in time asks again, and the turns are others then.
        let again =
            is_slow() && asked > 2 * connections && went.contains(&true) && went.contains(&false);
        ensure!(every_other || again, "{name}: {went:?}");
        ensure!(
            asked == 2 * connections || again,
            "{name} was asked for {asked} times for {connections}"
        );
    }
    let came = came.load(Ordering::Relaxed);
    ensure!(came == 0, "{came} connections were led inwards");
    ensure!(run.stderr.contains("egress denied: "), "nothing is said of it: {}", run.stderr);
    Ok(())
}

/// Whether the harness was told that this machine is.
fn is_slow() -> bool {
    patience(Duration::from_secs(1)) > Duration::from_secs(1)
}

fn reach(inside: &Inside) -> Result<()> {
    for (scheme, port) in PORTS {
        for (name, _) in INWARDS {
            for turn in 0..TURNS {
                inside.attempt(&format!("{scheme} {name} {turn}"), ask(name, port));
            }
        }
    }
    Ok(())
}

/// Twice on one connection, which stays where it is.
fn ask(name: &str, port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((name, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    for _ in 0..2 {
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").as_bytes())?;
        let mut said = [0; 512];
        let count = stream.read(&mut said)?;
        if !said.get(..count).unwrap_or_default().ends_with(b"reached") {
            return Err(ErrorKind::PermissionDenied.into());
        }
    }
    Ok(())
}
