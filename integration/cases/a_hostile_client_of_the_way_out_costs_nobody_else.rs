//! What a command writes to a host that it may reach is read once and in one way: a request in a request, a
//! head that two readers would read differently, or one without end goes nowhere. Connections that are begun
//! and left cost another sandbox nothing, and an answer to somebody who is gone reaches nobody else.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sandboxd_integration::below::field;
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, patience};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["N13", "N20", "E16"],
    needs: &[Need::Program(IP)],
    outside,
    probes: &[("smuggle", smuggle), ("flood", flood), ("well", well), ("abort", abort)],
    seconds: 240,
    ..Case::NEW
};

const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const HOST: &str = "named.example:80";
const PROFILE: &str = "extends = [\"builtin:base\"]\n[limits]\nopen_files = 4096\n[network]\nmode = \"egress\"\nrate = \"unlimited\"\n\
    egress = [{ to = \"http://named.example\", within = [\"203.0.113.7/32\"] }]\n";
/// Far more than the egress process needs for what one command may have with it.
const MOST_MEMORY_KB: u64 = 96 << 10;

/// What must never come to a host: it would be a request to another.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n";

/// Heads and bodies that are not read alike everywhere; RFC 9112, sections 2.2, 3.2, 5.1, 5.2, 6.1, 6.3, 7.1.
const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "both lengths",
        "POST / HTTP/1.1\r\nHost: named.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: named.example\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\n",
    ),
    (
        "a list of lengths",
        "POST / HTTP/1.1\r\nHost: named.example\r\nContent-Length: 0, 60\r\n\r\n",
    ),
    ("a signed length", "POST / HTTP/1.1\r\nHost: named.example\r\nContent-Length: +0\r\n\r\n"),
    (
        "a length beyond numbers",
        "POST / HTTP/1.1\r\nHost: named.example\r\nContent-Length: 18446744073709551616\r\n\r\n",
    ),
    (
        "an unknown coding",
        "POST / HTTP/1.1\r\nHost: named.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding twice",
        "POST / HTTP/1.1\r\nHost: named.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding before a length",
        "POST / HTTP/1.1\r\nHost: named.example\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "a chunk of no size",
        "POST / HTTP/1.1\r\nHost: named.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    ),
    (
        "a chunk beyond numbers",
        "POST / HTTP/1.1\r\nHost: named.example\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
    ),
    (
        "a chunk ended by a line feed",
        "POST / HTTP/1.1\r\nHost: named.example\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n",
    ),
    (
        "a folded line",
        "GET / HTTP/1.1\r\nHost: named.example\r\nX: a\r\n Host: evil.example\r\n\r\n",
    ),
    ("line feeds alone", "GET / HTTP/1.1\nHost: named.example\n\n"),
    (
        "a line feed in a head",
        "GET / HTTP/1.1\r\nHost: named.example\r\nX: a\nHost: evil.example\r\n\r\n",
    ),
    (
        "a carriage return in a head",
        "GET / HTTP/1.1\r\nHost: named.example\r\nX: a\rHost: evil.example\r\n\r\n",
    ),
    ("a NUL in a head", "GET / HTTP/1.1\r\nHost: named.example\r\nX: a\0b\r\n\r\n"),
    (
        "a space before a colon",
        "GET / HTTP/1.1\r\nHost: named.example\r\nHost : evil.example\r\n\r\n",
    ),
    ("two hosts", "GET / HTTP/1.1\r\nHost: named.example\r\nHost: evil.example\r\n\r\n"),
    (
        "another host in the target",
        "GET http://evil.example/ HTTP/1.1\r\nHost: named.example\r\n\r\n",
    ),
    (
        "somebody at a host",
        "GET http://named.example@evil.example/ HTTP/1.1\r\nHost: named.example\r\n\r\n",
    ),
    (
        "a port beyond ports",
        "GET http://named.example:65616/ HTTP/1.1\r\nHost: named.example:65616\r\n\r\n",
    ),
    (
        "another protocol from here on",
        "GET / HTTP/1.1\r\nHost: named.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    ),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("an older protocol", "GET / HTTP/0.9\r\nHost: named.example\r\n\r\n"),
    ("no protocol", "GET /\r\n"),
    ("another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
];

fn outside(outside: &Outside) -> Result<()> {
    let _world = World::enter(outside, &[("named.example", SOMEWHERE)])?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind((SOMEWHERE, 80)).context("a listener")?;
    let hears = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let hears = Arc::clone(&hears);
            thread::spawn(move || serve(stream, &hears));
        }
    });
    let run = outside.sandbox(PROFILE).probe("smuggle", &[]).run()?;
    run.exited(0)?;
    ensure!(run.fact("well")? == "answered", "{}", run.fact("well")?);
    let all = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let all = String::from_utf8_lossy(&all);
    for word in ["evil.example", "/smuggled"] {
        ensure!(!all.contains(word), "{word} came to the host: {all}");
    }
    let run = outside.sandbox(PROFILE).probe("abort", &[]).run()?;
    run.exited(0)?;
    ensure!(run.fact("wrong")? == "none", "an answer to somebody else: {}", run.fact("wrong")?);
    flooded(outside)
}

/// While one holds all that it can, another is answered.
fn flooded(outside: &Outside) -> Result<()> {
    let mut flooding = outside.sandbox(PROFILE).probe("flood", &[]).start()?;
    flooding.says("\"held\"")?;
    let egress = flooding.process(|command| command.contains("service egress"))?;
    let other = outside.sandbox(PROFILE).probe("well", &[]).run()?;
    other.exited(0)?;
    ensure!(other.fact("well")? == "answered", "{}", other.fact("well")?);
    let most = field(egress, "VmHWM")?;
    let most: u64 = most.split_whitespace().next().unwrap_or_default().parse()?;
    ensure!(most < MOST_MEMORY_KB, "the egress process took {most} kB");
    flooding.signal(Signal::SIGTERM)?;
    flooding.wait()?;
    Ok(())
}

/// Remembers what it hears, and answers each head with the path in it.
fn serve(mut stream: TcpStream, heard: &Mutex<Vec<u8>>) {
    let (mut bytes, mut head) = ([0; 4096], Vec::new());
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        let read = bytes.get(..count).unwrap_or_default();
        heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(read);
        head.extend_from_slice(read);
        while let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(head.get(..end).unwrap_or_default()).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            head.drain(..end + 4);
            if path.starts_with("/late") {
                thread::sleep(Duration::from_millis(20));
            }
            let length = path.len();
            let said = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}");
            let is_last = text.contains("Connection: close");
            if stream.write_all(said.as_bytes()).is_err() || is_last {
                return;
            }
        }
    }
}

fn connect() -> io::Result<TcpStream> {
    let address = HOST.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience(Duration::from_secs(30))))?;
    Ok(stream)
}

/// What the host answers to who asks for this path.
fn get(path: &str) -> io::Result<String> {
    let mut stream = connect()?;
    let asked = format!("GET {path} HTTP/1.1\r\nHost: named.example\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes())?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

fn well(inside: &Inside) -> Result<()> {
    let said = get("/well");
    let answered = said.as_ref().is_ok_and(|said| said.ends_with("\r\n/well"));
    inside.fact("well", if answered { "answered" } else { "not answered" });
    ensure!(answered, "{said:?}");
    Ok(())
}

fn smuggle(inside: &Inside) -> Result<()> {
    let say = |bytes: &[u8]| -> io::Result<usize> {
        let mut stream = connect()?;
        // Whoever refuses need not have read all of it.
        let said = stream.write_all(bytes).and_then(|()| stream.write_all(SMUGGLED.as_bytes()));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        said.map(|()| answer.len())
    };
    for (what, words) in AMBIGUOUS {
        inside.attempt(what, say(words.as_bytes()));
    }
    let long =
        format!("GET / HTTP/1.1\r\nHost: named.example\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    inside.attempt("a long head", say(long.as_bytes()));
    let many =
        format!("GET / HTTP/1.1\r\nHost: named.example\r\n{}\r\n", "X: x\r\n".repeat(10_000));
    inside.attempt("many fields", say(many.as_bytes()));
    well(inside)
}

/// Begins requests and leaves them so.
fn flood(inside: &Inside) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..1000 {
        let Ok(mut stream) = connect() else { break };
        stream.write_all(b"GET / HTTP/1.1\r\nHost: nam").ok();
        held.push(stream);
    }
    inside.fact("held", &held.len().to_string());
    loop {
        for stream in &mut held {
            stream.write_all(b"e").ok();
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Asks and goes away, again and again, while another asks and waits.
fn abort(inside: &Inside) -> Result<()> {
    let leaves = thread::spawn(|| {
        for number in 0..500 {
            let Ok(mut stream) = connect() else { continue };
            let asked = format!("GET /late-{number} HTTP/1.1\r\nHost: named.example\r\n\r\n");
            stream.write_all(asked.as_bytes()).ok();
        }
    });
    let mut wrong = None;
    for number in 0..500 {
        let path = format!("/{number}");
        match get(&path) {
            Ok(said) if said.ends_with(&format!("\r\n{path}")) => {}
            // So many are open that there is no place for it.
            Ok(said) if said.starts_with("HTTP/1.1 429 ") => {}
            said => wrong = Some(format!("{said:?}")),
        }
    }
    leaves.join().ok().context("it panicked")?;
    inside.fact("wrong", wrong.as_deref().unwrap_or("none"));
    Ok(())
}
