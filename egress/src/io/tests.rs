//! The whole way, over real sockets of the host's loopback.
//!
//! An upstream listens on 127.0.0.1 and is `host.internal` inside; what is led here arrives at an
//! address of 127.18.0.0/16, which is the range of names, with the same port.

use super::*;
use crate::{
    dns::ask::{Family, Found, found, question},
    hello::tests::client_hello_for,
    rule::tests::{UNLIMITED, host, named, rule},
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_egress_plan::{
    Bound, Breaker, Carries, Fakes, Known, Limits, Millis, Network, Record, Requests, Resolver,
    Rule, Target, VERSION, Verdict, Waits, record,
};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

/// So long may anything take, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

fn plan(rules: Vec<Rule>) -> EgressPlan {
    EgressPlan {
        version: VERSION,
        id: "test-1".into(),
        rules,
        limits: UNLIMITED,
        waits: Waits { head: Millis(30_000), connect: Millis(30_000) },
        pending: 64,
        breaker: Breaker {
            window: Millis(30_000),
            percent: 100,
            calls: 1000,
            consecutive: 1000,
            first: Millis(1000),
            longest: Millis(1000),
        },
        fakes: Fakes {
            ranges: vec![Network::try_from("127.18.0.0/16").unwrap()],
            names: 100,
            ttl: 60,
        },
        resolver: Resolver {
            hosts: vec![Known {
                name: host("rebound.example"),
                addresses: vec!["127.0.0.1".parse().unwrap(), "169.254.169.254".parse().unwrap()],
            }],
            servers: vec![],
            wait: Millis(1000),
            rounds: 1,
        },
    }
}

struct Running {
    transparent: SocketAddr,
    proxy: SocketAddr,
    dns: SocketAddr,
    dns_stream: SocketAddr,
    control: Option<OwnedFd>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control = None;
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// What serves these rules; connections to this port are led to it.
fn start(plan: EgressPlan, port: u16) -> Running {
    let transparent = TcpListener::bind(("127.18.0.1", port)).unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns_stream = TcpListener::bind("127.0.0.1:0").unwrap();
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let mut running = Running {
        transparent: transparent.local_addr().unwrap(),
        proxy: proxy.local_addr().unwrap(),
        dns: dns.local_addr().unwrap(),
        dns_stream: dns_stream.local_addr().unwrap(),
        control: Some(ours),
        thread: None,
    };
    let sockets = Sockets {
        transparent: vec![transparent.into()],
        proxy: vec![proxy.into()],
        dns_datagram: vec![dns.into()],
        dns_stream: vec![dns_stream.into()],
        control: theirs,
    };
    running.thread = Some(thread::spawn(move || serve(plan, sockets)));
    running
}

impl Running {
    /// The next record.
    fn record(&self) -> Record {
        let mut bytes = [0; record::SIZE];
        let control = self.control.as_ref().unwrap();
        let flags = rustix::net::RecvFlags::empty();
        let (count, _) = rustix::net::recv(control, &mut bytes, flags).unwrap();
        assert_eq!(count, record::SIZE);
        Record::decode(&bytes).unwrap()
    }

    /// Has `host.internal` get the first address, which the listener has.
    fn ask(&self, name: &str) -> Option<Found> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(&question(7, &host(name), Family::Four), self.dns).unwrap();
        let mut bytes = [0; 512];
        let (count, _) = socket.recv_from(&mut bytes).unwrap();
        found(&bytes[..count], 7, &host(name), Family::Four)
    }

    fn led(&self) -> TcpStream {
        self.ask("host.internal");
        connect(self.transparent)
    }

    /// What the proxy says to this, until it ends.
    fn proxied(&self, text: &[u8]) -> String {
        let mut stream = connect(self.proxy);
        stream.write_all(text).unwrap();
        rest(&mut stream)
    }
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the end; as much of it as came before a failure.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend(&piece[..count]),
            Err(error) => {
                bytes.extend(format!("[{:?}]", error.kind()).bytes());
                break;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An upstream that serves each connection so; its port.
fn upstream(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = std::sync::Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = std::sync::Arc::clone(&serve);
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    port
}

/// An upstream that says back what it is told.
fn echo() -> u16 {
    upstream(|mut stream| {
        let mut from = stream.try_clone().unwrap();
        io::copy(&mut from, &mut stream).ok();
        stream.shutdown(Shutdown::Write).ok();
    })
}

/// An upstream of HTTP, that answers each head with itself.
fn http() -> u16 {
    upstream(|mut stream| {
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = bytes.drain(..end + 4).collect();
                let text = String::from_utf8(head).unwrap();
                let close = text.contains("Connection: close");
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
                stream.write_all(answer.as_bytes()).unwrap();
                if close {
                    return;
                }
            }
            match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(count) => bytes.extend(&piece[..count]),
            }
        }
    })
}

fn to_host(port: u16, carries: Carries) -> Vec<Rule> {
    vec![rule(Target::Host, port, carries)]
}

#[test]
fn bytes_go_both_ways_and_are_counted() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    let mut stream = running.led();
    let sent: Vec<u8> = (0_u32..1_000_000).flat_map(u32::to_le_bytes).collect();
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    assert!(got == sent);
    drop(stream);
    let record = running.record();
    assert_eq!((record.verdict, record.way), (Verdict::Carried, Way::Transparent));
    assert_eq!(
        (record.rule, record.name, record.port),
        (Some(0), Some(host("host.internal")), port)
    );
    assert_eq!((record.up, record.down), (4_000_000, 4_000_000));
    assert_eq!(record.address, Some(Ipv4Addr::LOCALHOST.into()));
}

#[test]
fn names_are_answered_on_both_sockets_and_others_do_not_exist() {
    let running = start(plan(to_host(1, Carries::Tcp)), 0);
    let first = Found::Addresses(vec!["127.18.0.1".parse().unwrap()]);
    assert_eq!(running.ask("host.internal"), Some(first.clone()));
    assert_eq!(running.ask("secret.evil.example"), Some(Found::NoName));
    let record = running.record();
    assert_eq!((record.verdict, record.way), (Verdict::NoRule, Way::Dns));
    assert_eq!(record.name, Some(host("secret.evil.example")));
    let mut stream = connect(running.dns_stream);
    for _ in 0..2 {
        let asked = question(9, &host("host.internal"), Family::Four);
        let length = u16::try_from(asked.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &asked].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        let said = found(&answer, 9, &host("host.internal"), Family::Four);
        assert_eq!(said, Some(first.clone()));
    }
    stream.write_all(&[0xff, 0xff, 0]).unwrap();
    assert!(!rest(&mut stream).contains("host"), "nobody waits for 65,535 bytes");
}

#[test]
fn tls_goes_out_for_its_name_only() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tls)), port);
    let hello = client_hello_for("host.internal");
    let mut stream = running.led();
    for piece in hello.chunks(7) {
        stream.write_all(piece).unwrap();
    }
    stream.write_all(b"more").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, [&hello[..], b"more"].concat());
    drop(stream);
    assert_eq!(running.record().verdict, Verdict::Carried);
    let alert = "\x15\x03\x03\0\x02\x02p";
    for (said, answer, why) in [
        (client_hello_for("evil.example"), alert, Verdict::ServerName),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "[ConnectionReset]", Verdict::NotTls),
        (b"SSH-2.0-x\r\n".to_vec(), "[ConnectionReset]", Verdict::NotTls),
    ] {
        let mut stream = running.led();
        stream.write_all(&said).unwrap();
        assert_eq!(rest(&mut stream), answer);
        let record = running.record();
        assert_eq!((record.verdict, record.up), (why, 0));
    }
}

#[test]
fn each_request_is_looked_at_anew() {
    let port = http();
    let running = start(plan(to_host(port, Carries::Http(Requests::All))), port);
    let mut stream = running.led();
    let one = format!("GET /one HTTP/1.1\r\nHost: HOST.internal:{port}\r\n\r\n");
    let other = "GET /two HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    stream.write_all([&one, &one, other, &one].concat().as_bytes()).unwrap();
    let said = rest(&mut stream);
    assert_eq!(
        said.matches(&format!("GET /one HTTP/1.1\r\nHost: host.internal:{port}")).count(),
        2
    );
    assert!(said.contains("403 Forbidden") && said.contains("the Host of the request is another"));
    assert!(!said.contains("/two"));
    drop(stream);
    assert_eq!(running.record().verdict, Verdict::HostHeader);
    let mut stream = running.led();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 403 "));
    let record = running.record();
    assert_eq!((record.verdict, record.up), (Verdict::HostHeader, 0));
    let mut stream = running.led();
    stream.write_all(b"GET / HTTP/1.1\nHost: host.internal\r\n\r\n").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 400 "));
    assert_eq!(running.record().verdict, Verdict::Malformed);
}

#[test]
fn a_body_that_is_cut_off_or_not_wanted_ends_the_request() {
    // One that answers before it read the body, and one that waits for all of it.
    let early = upstream(|mut stream| {
        stream.read_exact(&mut [0; 20]).unwrap();
        stream.write_all(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut stream, &mut io::sink()).ok();
    });
    let (told, ended) = std::sync::mpsc::channel();
    let waiting = upstream(move |mut stream| {
        let ended = io::copy(&mut stream, &mut io::sink()).map_err(|error| error.kind());
        told.send(ended.is_err()).unwrap();
    });
    let all = || Carries::Http(Requests::All);
    let rules = vec![rule(Target::Host, early, all()), rule(Target::Host, waiting, all())];
    let running = start(plan(rules), 0);
    let post = |port: u16| {
        format!(
            "POST http://host.internal:{port}/ HTTP/1.1\r\nHost: host.internal:{port}\r\nContent-Length: 1000\r\n\r\nabc"
        )
    };
    assert!(running.proxied(post(early).as_bytes()).starts_with("HTTP/1.1 413 "));
    assert_eq!(running.record().verdict, Verdict::Carried);
    let mut stream = connect(running.proxy);
    stream.write_all(post(waiting).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(ended.recv_timeout(PATIENCE).unwrap(), "it is not told that this was all");
    assert_eq!(running.record().verdict, Verdict::Broke);
}

#[test]
fn the_proxy_takes_connect_plain_http_and_socks() {
    let port = http();
    let running = start(plan(to_host(port, Carries::Http(Requests::All))), 0);
    let get = format!("GET /x HTTP/1.1\r\nHost: host.internal:{port}\r\nConnection: close\r\n\r\n");
    let said = running.proxied(
        format!("CONNECT host.internal:{port} HTTP/1.1\r\nHost: host.internal:{port}\r\n\r\n{get}")
            .as_bytes(),
    );
    assert!(
        said.starts_with("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK"),
        "{said}"
    );
    assert_eq!(running.record().verdict, Verdict::Carried);
    let absolute = get.replacen("/x", &format!("http://host.internal:{port}/x"), 1);
    let said = running.proxied(absolute.replacen("Connection: close\r\n", "", 1).as_bytes());
    assert!(said.contains("GET /x HTTP/1.1") && said.contains("Connection: close"), "{said}");
    assert_eq!(running.record().verdict, Verdict::Carried);
    let socks =
        [&[5, 1, 0, 5, 1, 0, 3, 13][..], b"host.internal", &port.to_be_bytes(), get.as_bytes()];
    let said = running.proxied(&socks.concat());
    assert!(said.contains("GET /x HTTP/1.1"), "{said}");
    let record = running.record();
    assert_eq!((record.verdict, record.way), (Verdict::Carried, Way::Proxy));
    // One that asked for the name itself has the address that it has inside.
    let socks = [&[5, 1, 0, 5, 1, 0, 1, 127, 18, 0, 1][..], &port.to_be_bytes(), get.as_bytes()];
    running.proxied(&socks.concat());
    assert_eq!(running.record().verdict, Verdict::UnknownAddress);
    running.ask("host.internal");
    assert!(running.proxied(&socks.concat()).contains("GET /x HTTP/1.1"));
    assert_eq!(running.record().name, Some(host("host.internal")));
}

#[test]
fn the_proxy_lets_nobody_out_whom_no_rule_names() {
    let port = echo();
    let rules = vec![
        rule(Target::Host, port, Carries::Tcp),
        named("rebound.example", port, Carries::Tcp),
        named("unknown.example", port, Carries::Tcp),
    ];
    let running = start(plan(rules), 0);
    for (whom, status, why) in [
        (format!("evil.example:{port}"), "403", Verdict::NoRule),
        ("host.internal:1".to_owned(), "403", Verdict::NoRule),
        (format!("127.0.0.1:{port}"), "403", Verdict::NoRule),
        (format!("[::1]:{port}"), "403", Verdict::NoRule),
        (format!("[::ffff:127.0.0.1]:{port}"), "403", Verdict::NoRule),
        (format!("localhost.:{port}"), "403", Verdict::NoRule),
        (format!("2130706433:{port}"), "400", Verdict::Malformed),
        (format!("0x7f.1:{port}"), "400", Verdict::Malformed),
        (format!("host.internal@evil.example:{port}"), "400", Verdict::Malformed),
        (format!("rebound.example:{port}"), "403", Verdict::PrivateAddress),
        (format!("unknown.example:{port}"), "502", Verdict::Unresolved),
    ] {
        let said =
            running.proxied(format!("CONNECT {whom} HTTP/1.1\r\nHost: {whom}\r\n\r\n").as_bytes());
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{whom}: {said}");
        assert_eq!(running.record().verdict, why, "{whom}");
    }
    assert_eq!(
        running.proxied(&[5, 1, 2]).as_bytes(),
        String::from_utf8_lossy(&[5, 0xff]).as_bytes()
    );
    assert_eq!(running.record().verdict, Verdict::Malformed);
    running.proxied(&[&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat());
    assert_eq!(running.record().verdict, Verdict::NoRule);
    assert!(
        running
            .proxied(b"GET / HTTP/1.1\r\nHost: host.internal\r\n\r\n")
            .contains("this is a proxy")
    );
}

#[test]
fn a_tunnel_is_for_the_name_that_was_asked_for_and_bears_its_limits_at_once() {
    let port = echo();
    let mut rules = to_host(port, Carries::Tls);
    rules[0].limits.connections = Bound::AtMost(1);
    let running = start(plan(rules), 0);
    let connects =
        format!("CONNECT host.internal:{port} HTTP/1.1\r\nHost: host.internal:{port}\r\n\r\n");
    let hello = client_hello_for("evil.example");
    let said = running.proxied(&[connects.as_bytes(), &hello].concat());
    assert!(said.ends_with("\r\n\r\n\x15\x03\x03\0\x02\x02p"), "{said:?}");
    assert_eq!(running.record().verdict, Verdict::ServerName);
    let mut stream = connect(running.proxy);
    stream.write_all(connects.as_bytes()).unwrap();
    assert!(stream.read(&mut [0; 100]).unwrap() > 12);
    assert!(running.proxied(connects.as_bytes()).starts_with("HTTP/1.1 429 "));
    assert_eq!(running.record().verdict, Verdict::Connections);
    let hello = client_hello_for("host.internal");
    stream.write_all(&hello).unwrap();
    let mut back = vec![0; hello.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, hello);
    drop(stream);
    assert_eq!(running.record().verdict, Verdict::Carried);
}

#[test]
fn what_stands_for_nothing_is_cut() {
    let port = echo();
    let running = start(plan(to_host(port, Carries::Tcp)), port);
    // Nobody asked for a name yet.
    assert!(rest(&mut connect(running.transparent)).contains("ConnectionReset"));
    let record = running.record();
    assert_eq!((record.verdict, record.name), (Verdict::UnknownAddress, None));
    assert_eq!(record.address, Some(running.transparent.ip()));
}

#[test]
fn limits_and_deadlines_end_a_connection() {
    let port = echo();
    let mut rules = to_host(port, Carries::Tcp);
    rules[0].limits =
        Limits { up: Bound::AtMost(8), connections: Bound::AtMost(1), ..rules[0].limits };
    let running = start(plan(rules), port);
    let mut first = running.led();
    first.write_all(b"1234").unwrap();
    first.read_exact(&mut [0; 4]).unwrap();
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Connections);
    first.write_all(b"56789").unwrap();
    assert!(rest(&mut first).contains("ConnectionReset"));
    let record = running.record();
    assert_eq!((record.verdict, record.up), (Verdict::Spent, 8));
    drop(running);

    let mut rules = to_host(port, Carries::Tcp);
    rules[0].deadlines.idle = Bound::AtMost(50);
    let running = start(plan(rules), port);
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Idle);
    drop(running);

    // An answer that ends with its connection, and is cut off.
    let port = upstream(|mut stream| {
        stream.read_exact(&mut [0; 20]).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhalf and half").unwrap();
        io::copy(&mut stream, &mut io::sink()).ok();
    });
    let mut rules = to_host(port, Carries::Http(Requests::All));
    rules[0].limits.down = Bound::AtMost(23);
    let running = start(plan(rules), port);
    let mut stream = running.led();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(&mut stream).ends_with("\nhalf[ConnectionReset]"));
    assert_eq!(running.record().verdict, Verdict::Spent);
    drop(running);

    let port = echo();
    let mut plan = plan(to_host(port, Carries::Tls));
    plan.waits.head = Millis(50);
    let running = start(plan, port);
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Slow);
}

#[test]
fn one_that_carries_much_does_not_hold_up_the_others() {
    let zeros = upstream(|mut stream| while stream.write_all(&[0; 1 << 16]).is_ok() {});
    let small = echo();
    let rules =
        vec![rule(Target::Host, zeros, Carries::Tcp), rule(Target::Host, small, Carries::Tcp)];
    let running = start(plan(rules), 0);
    let open = |port: u16| {
        let mut stream = connect(running.proxy);
        let whom = format!("host.internal:{port}");
        write!(stream, "CONNECT {whom} HTTP/1.1\r\nHost: {whom}\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 39]).unwrap();
        stream
    };
    let mut greedy = open(zeros);
    let reading =
        thread::spawn(move || while greedy.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0) {});
    for _ in 0..20 {
        let mut stream = open(small);
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    drop(running);
    reading.join().unwrap();
}

#[test]
fn those_who_say_nothing_leave_room_for_others() {
    let port = echo();
    let mut plan = plan(to_host(port, Carries::Tls));
    plan.pending = 2;
    let running = start(plan, port);
    let silent = [running.led(), running.led()];
    assert!(rest(&mut running.led()).contains("ConnectionReset"));
    assert_eq!(running.record().verdict, Verdict::Pending);
    drop(silent);
    assert_eq!(running.record().verdict, Verdict::Broke);
    assert_eq!(running.record().verdict, Verdict::Broke);
    let mut stream = running.led();
    stream.write_all(&client_hello_for("host.internal")).unwrap();
    assert!(stream.read(&mut [0; 16]).unwrap() > 0);
}
