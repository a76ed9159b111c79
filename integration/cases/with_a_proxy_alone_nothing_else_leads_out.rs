//! Where the proxy is the only way out, what is named is reached by it, in each of its three languages, and by
//! nothing else: a connection of the command's own goes nowhere, nor does a datagram; the proxy reaches no other
//! port, name or address, no name that leads to the host's loopback, to a private network or to where clouds
//! keep credentials, in none of the spellings of these, and no host that is named only once the tunnel is there.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::hosts::{answer, client_hello};
use sandboxd_integration::world::{IP, World};
use sandboxd_integration::{Case, Inside, Need, Outside, Run};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket,
};
use std::thread;
use std::time::Duration;

pub(crate) const CASE: Case = Case {
    rows: &["N10", "N11", "N12", "N14", "N15", "N16", "N17", "E14"],
    needs: &[Need::Program(IP)],
    outside,
    probes: &[("reach", reach)],
    ..Case::NEW
};

/// Somewhere on the internet, as far as anybody here can tell.
const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const INNER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// Where clouds tell a machine its credentials.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const PROXY: &str = "127.0.0.1:3128";

const PROFILE: &str = "extends = [\"builtin:base\"]\n[network]\nmode = \"egress\"\nway = \"proxy\"\negress = [\n\
    { to = \"http://named.example\", within = [\"203.0.113.7/32\"] },\n\
    { to = \"tcp://named.example:7000\", within = [\"203.0.113.7/32\"] },\n\
    { to = \"tls.example:443\", within = [\"203.0.113.7/32\"] },\n\
    \"tcp://loopback.example:80\", \"tcp://inner.example:80\", \"tcp://metadata.example:80\",\n\
    \"tcp://0.0.0.0/0:80\", \"tcp://host.internal:7001\" ]\n";

fn outside(outside: &Outside) -> Result<()> {
    let hosts = [
        ("named.example", SOMEWHERE),
        ("tls.example", SOMEWHERE),
        ("evil.example", SOMEWHERE),
        ("inner.example", INNER),
        ("metadata.example", METADATA),
        ("loopback.example", Ipv4Addr::LOCALHOST),
    ];
    let world = World::enter(outside, &hosts)?;
    let open = |address: Ipv4Addr, port: u16| -> Result<TcpListener> {
        TcpListener::bind((address, port)).with_context(|| format!("{address}:{port}"))
    };
    // Those that may be reached answer what they are.
    for (address, port) in [(SOMEWHERE, 80), (SOMEWHERE, 7000), (Ipv4Addr::LOCALHOST, 7001)] {
        let listener = open(address, port)?;
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(&stream)));
    }
    // The tunnel to it is made before it is heard what is said in that, and nothing is.
    let silent = open(SOMEWHERE, 443)?;
    let (heard, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for mut stream in silent.incoming().flatten() {
            let count = stream.read(&mut [0; 512]).unwrap_or(0);
            heard.send(count).ok();
            if count > 0 {
                stream.write_all(b"heard").ok();
            }
        }
    });
    let hidden = [
        open(SOMEWHERE, 8080)?,
        open(INNER, 80)?,
        open(METADATA, 80)?,
        open(Ipv4Addr::LOCALHOST, 80)?,
        open(Ipv4Addr::LOCALHOST, 8080)?,
    ];

    let run = outside.sandbox(PROFILE).probe("reach", &[]).run()?;
    run.exited(0)?;
    judged(&run)?;
    for listener in hidden {
        let at = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let came = listener.accept().err().map(|error| error.kind());
        ensure!(came == Some(ErrorKind::WouldBlock), "somebody came to {at}");
    }
    ensure!(told.try_iter().sum::<usize>() == 0, "something was said to a host that was not named");
    for name in world.asked() {
        let known = hosts.iter().any(|(host, _)| *host == name) && name != "evil.example";
        ensure!(known, "somebody was asked for {name}");
    }
    Ok(())
}

/// What it reached, what it did not, and what is said of that.
fn judged(run: &Run) -> Result<()> {
    for reached in REACHED {
        run.allowed(reached)?;
    }
    let let_through: Vec<&str> = run
        .attempts()
        .filter(|(what, errno)| what.starts_with("no ") && *errno == 0)
        .map(|(what, _)| what)
        .collect();
    ensure!(let_through.is_empty(), "let through: {}", let_through.join(", "));
    for (what, errno) in run.attempts().filter(|(what, _)| what.starts_with("no route")) {
        ensure!(errno == libc::ENETUNREACH, "{what}: errno {errno}");
    }
    let receipt = run.receipt.as_ref().context("no receipt")?;
    ensure!(
        receipt.pointer("/egress/by").is_some_and(|by| by == "proxy"),
        "the receipt: {receipt}"
    );
    ensure!(run.stderr.contains("egress denied: "), "nothing is said of what was refused");
    Ok(())
}

/// What is named, in each language.
const REACHED: [&str; 6] = [
    "a request",
    "CONNECT named.example:7000",
    "CONNECT host.internal:7001",
    "SOCKS named.example:7000",
    "SOCKS host.internal:7001",
    "SOCKS to the addresses that it has inside",
];

fn proxy() -> io::Result<TcpStream> {
    let stream = TcpStream::connect(PROXY)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// What is read, and that the end is not among it.
fn hear(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 512];
    match stream.read(&mut bytes)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => Ok(bytes.get(..count).unwrap_or_default().to_vec()),
    }
}

/// Whether somebody answers who was asked this.
fn ask(stream: &mut TcpStream, words: &str) -> io::Result<()> {
    stream.write_all(words.as_bytes())?;
    let said = hear(stream)?;
    let reached = said.windows(7).any(|window| window == b"reached");
    if reached { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
}

/// A tunnel, where there is one.
fn connect(to: &str) -> io::Result<TcpStream> {
    let mut stream = proxy()?;
    stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes())?;
    let said = hear(&mut stream)?;
    if said.starts_with(b"HTTP/1.1 200") {
        Ok(stream)
    } else {
        Err(ErrorKind::PermissionDenied.into())
    }
}

/// The same in the words of SOCKS, RFC 1928.
fn socks(kind: u8, whom: &[u8], port: u16) -> io::Result<TcpStream> {
    let mut stream = proxy()?;
    stream.write_all(&[5, 1, 0])?;
    let mut welcome = [0; 2];
    stream.read_exact(&mut welcome)?;
    stream.write_all(&[&[5, 1, 0, kind], whom, &port.to_be_bytes()].concat())?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply)?;
    if reply.get(1) == Some(&0) { Ok(stream) } else { Err(ErrorKind::PermissionDenied.into()) }
}

fn socks_name(name: &str, port: u16) -> io::Result<TcpStream> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    socks(3, &[&[length], name.as_bytes()].concat(), port)
}

fn get(url: &str, host: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// What no rule names, in each spelling.
const UNNAMED: [&str; 28] = [
    "named.example:8080",
    "evil.example:7000",
    "evil.example:443",
    "SECRET.evil.example:80",
    "loopback.example:80",
    "inner.example:80",
    "metadata.example:80",
    "169.254.169.254:80",
    "10.99.0.1:80",
    "203.0.113.7:7000",
    "203.0.113.7:8080",
    "127.0.0.1:80",
    "127.0.0.1:7001",
    "127.1:80",
    "2130706433:80",
    "0x7f000001:80",
    "0:80",
    "[::1]:80",
    "[::ffff:127.0.0.1]:80",
    "[::ffff:10.99.0.1]:80",
    "[64:ff9b::a9fe:a9fe]:80",
    "localhost:7001",
    "host.internal:80",
    "user@host.internal:7001",
    "named.example.:8080",
    "not-named.example:80",
    "evil.example\0.named.example:80",
    "named.example\0.evil.example:80",
];

fn reach(inside: &Inside) -> Result<()> {
    let plain = get("/", "named.example");
    let said = |tunnel: io::Result<TcpStream>| tunnel.and_then(|mut to| ask(&mut to, &plain));
    let request = |url: &str, host: &str| proxy().and_then(|mut to| ask(&mut to, &get(url, host)));
    let inner: Vec<SocketAddr> = "named.example:7000".to_socket_addrs()?.collect();
    let by_address = |all: &[SocketAddr]| {
        all.iter().try_for_each(|address| match address.ip() {
            IpAddr::V4(four) => said(socks(1, &four.octets(), 7000)),
            IpAddr::V6(six) => said(socks(4, &six.octets(), 7000)),
        })
    };
    let reached = [
        request("http://named.example/", "named.example"),
        said(connect("named.example:7000")),
        said(connect("host.internal:7001")),
        said(socks_name("named.example", 7000)),
        said(socks_name("host.internal", 7001)),
        by_address(&inner),
    ];
    for (name, outcome) in REACHED.iter().zip(reached) {
        inside.attempt(name, outcome);
    }
    let try_it = |what: &str, outcome: io::Result<()>| {
        inside.attempt(&format!("no {what}"), outcome);
    };
    for to in UNNAMED {
        try_it(&format!("CONNECT {to}"), connect(to).map(drop));
        let (host, port) = to.rsplit_once(':').context("no port")?;
        let name = host.trim_matches(['[', ']']);
        try_it(&format!("SOCKS {to}"), socks_name(name, port.parse()?).map(drop));
        try_it(&format!("request to {to}"), request(&format!("http://{to}/"), to));
    }
    for address in [METADATA, INNER, Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        try_it(
            &format!("SOCKS to the address {address}"),
            socks(1, &address.octets(), 80).map(drop),
        );
        let mapped = address.to_ipv6_mapped().octets();
        try_it(&format!("SOCKS to {address}, mapped"), socks(4, &mapped, 80).map(drop));
    }
    try_it("other host in a request", request("http://named.example/", "evil.example"));
    try_it("request to the proxy itself", request("/", "named.example"));
    try_it("plain text in a tunnel for TLS", said(connect("tls.example:443")));
    try_it("TLS for another name", hello(connect("tls.example:443"), "evil.example"));
    try_it("TLS for another name by SOCKS", hello(socks_name("tls.example", 443), "evil.example"));
    try_it("other way of SOCKS", udp_associate());
    for to in ["203.0.113.7:80", "203.0.113.7:7000", "10.99.0.1:80", "[2001:db8::1]:80"] {
        inside.attempt(&format!("no route to {to}"), TcpStream::connect(to));
    }
    for address in inner {
        inside.attempt(
            &format!("no route to {address}, which a name has"),
            TcpStream::connect(address),
        );
    }
    let datagrams = UdpSocket::bind("0.0.0.0:0")?;
    inside.attempt("no route for a datagram", datagrams.send_to(b"hello", "203.0.113.7:443"));
    Ok(())
}

/// A way to send datagrams.
fn udp_associate() -> io::Result<()> {
    let mut stream = proxy()?;
    stream.write_all(&[5, 1, 0])?;
    stream.read_exact(&mut [0; 2])?;
    stream.write_all(&[5, 3, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply)?;
    if reply.get(1) == Some(&0) { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
}

/// Whether somebody answers who is asked for TLS with this host, other than by an alert.
fn hello(tunnel: io::Result<TcpStream>, name: &str) -> io::Result<()> {
    let mut stream = tunnel?;
    stream.write_all(&client_hello(name))?;
    match hear(&mut stream)?.first() {
        Some(0x15) | None => Err(ErrorKind::PermissionDenied.into()),
        Some(_) => Ok(()),
    }
}
