//! A sandbox that is served, upstreams that serve it, and who talks to both.

pub(super) use crate::io::*;
pub(super) use crate::{
    dns::ask::{Family, Found, found, question},
    hello::tests::client_hello_for,
    rule::tests::{UNLIMITED, host, named, rule},
};
pub(super) use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair, sockopt,
};
pub(super) use sandboxd_egress_plan::{
    Agent, Bound, Breaker, Carries, Fakes, Known, Limits, Millis, Network, Rate, Record, Requests,
    Resolver, Rule, Target, Told, VERSION, Verdict, Waits,
};
pub(super) use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

/// So long may anything take, on a machine that does much else.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The first account bears everything, and each rule has one of its own after it.
pub(super) fn plan(mut rules: Vec<Rule>) -> EgressPlan {
    let accounts = vec![UNLIMITED; rules.len() + 1];
    for (own, rule) in (1..).zip(&mut rules) {
        rule.accounts = vec![0, own];
    }
    EgressPlan {
        version: VERSION,
        id: "test-1".into(),
        ways: sandboxd_egress_plan::Ways::Both,
        rules,
        secrets: vec![],
        injects: vec![],
        agent: Agent {
            signers: vec![],
            connections: 0,
            rate: Rate::Unlimited,
            patience: Millis(0),
        },
        budgets: vec![],
        accounts,
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

pub(super) struct Running {
    pub(super) transparent: SocketAddr,
    pub(super) proxy: SocketAddr,
    pub(super) dns: SocketAddr,
    pub(super) dns_stream: SocketAddr,
    pub(super) control: Option<OwnedFd>,
    pub(super) thread: Option<JoinHandle<io::Result<()>>>,
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
pub(super) fn start(plan: EgressPlan, port: u16) -> Running {
    start_with(
        plan,
        port,
        Handed { secrets: Secrets::default(), ends: None, renewals: None, lender: None },
    )
}

/// The same, with what is handed over.
pub(super) fn start_with(plan: EgressPlan, port: u16, handed: Handed) -> Running {
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
        agent: vec![],
        control: theirs,
    };
    running.thread = Some(thread::spawn(move || serve(plan, sockets, handed)));
    running
}

impl Running {
    /// What is told next.
    pub(super) fn told(&self) -> Told {
        let mut bytes = [0; Told::MOST];
        let control = self.control.as_ref().unwrap();
        sockopt::set_socket_timeout(control, sockopt::Timeout::Recv, Some(PATIENCE)).unwrap();
        let (count, _) = recv(control, &mut bytes, RecvFlags::empty()).unwrap();
        Told::decode(&bytes[..count]).unwrap()
    }

    /// The next record.
    pub(super) fn record(&self) -> Record {
        match self.told() {
            Told::Record(record) => record,
            told @ (Told::Use(_) | Told::Level(_) | Told::Lost(_) | Told::Signing(_)) => {
                panic!("{told:?}")
            }
        }
    }

    /// Has `host.internal` get the first address, which the listener has.
    pub(super) fn ask(&self, name: &str) -> Option<Found> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(&question(7, &host(name), Family::Four), self.dns).unwrap();
        let mut bytes = [0; 512];
        let (count, _) = socket.recv_from(&mut bytes).unwrap();
        found(&bytes[..count], 7, &host(name), Family::Four)
    }

    pub(super) fn led(&self) -> TcpStream {
        self.ask("host.internal");
        connect(self.transparent)
    }

    /// What the proxy says to this, until it ends.
    pub(super) fn proxied(&self, text: &[u8]) -> String {
        let mut stream = connect(self.proxy);
        stream.write_all(text).unwrap();
        rest(&mut stream)
    }
}

pub(super) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the end; as much of it as came before a failure.
pub(super) fn rest(stream: &mut TcpStream) -> String {
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
pub(super) fn upstream(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
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
pub(super) fn echo() -> u16 {
    upstream(|mut stream| {
        let mut from = stream.try_clone().unwrap();
        io::copy(&mut from, &mut stream).ok();
        stream.shutdown(Shutdown::Write).ok();
    })
}

/// An upstream of HTTP, that answers each head with itself.
pub(super) fn http() -> u16 {
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

pub(super) fn to_host(port: u16, carries: Carries) -> Vec<Rule> {
    vec![rule(Target::Host, port, carries)]
}
