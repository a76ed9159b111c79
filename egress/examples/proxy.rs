//! The proxy alone, on a port of the loopback, that lets out to another: `proxy LISTEN UPSTREAM`, until its
//! standard input ends. For measuring (`cargo xtask bench egress`) and for looking at.
#![forbid(unsafe_code)]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sandboxd_egress::{Handed, Sockets, secret::Secrets, serve};
use sandboxd_egress_plan::{
    Agent, Bound, Breaker, Carries, Deadlines, EgressPlan, Fakes, Limits, Millis, Rate, Resolver,
    Rule, Target, VERSION, Waits,
};
use std::{
    io::{Error, ErrorKind, Read as _, Result},
    net::TcpListener,
};

const UNLIMITED: Limits = Limits {
    connections: Bound::Unlimited,
    rate: Rate::Unlimited,
    up: Bound::Unlimited,
    down: Bound::Unlimited,
};

fn plan(port: u16) -> EgressPlan {
    EgressPlan {
        version: VERSION,
        id: "proxy".into(),
        ways: sandboxd_egress_plan::Ways::Proxy,
        rules: vec![Rule {
            written: format!("tcp://host.internal:{port}"),
            target: Target::Host,
            port,
            carries: Carries::Tcp,
            within: vec![],
            accounts: vec![0],
            deadlines: Deadlines { idle: Bound::AtMost(60_000), total: Bound::Unlimited },
            model: false,
        }],
        secrets: vec![],
        injects: vec![],
        agent: Agent { signers: vec![], connections: 0, rate: Rate::Unlimited },
        budgets: vec![],
        accounts: vec![UNLIMITED],
        waits: Waits { head: Millis(10_000), connect: Millis(10_000) },
        pending: 1024,
        breaker: Breaker {
            window: Millis(30_000),
            percent: 50,
            calls: 10,
            consecutive: 5,
            first: Millis(5000),
            longest: Millis(60_000),
        },
        fakes: Fakes { ranges: vec![], names: 0, ttl: 0 },
        resolver: Resolver { hosts: vec![], servers: vec![], wait: Millis(1000), rounds: 0 },
    }
}

fn main() -> Result<()> {
    let wanted = || Error::new(ErrorKind::InvalidInput, "proxy LISTEN UPSTREAM, two ports");
    let ports: Vec<u16> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [listen, upstream] = ports[..] else { return Err(wanted()) };
    let listener = TcpListener::bind(("127.0.0.1", listen))?;
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (ours, control) = pair;
    std::thread::spawn(move || {
        // Whatever it says: its end is ours.
        std::io::stdin().lock().read_to_end(&mut Vec::new()).ok();
        drop(ours);
    });
    serve(
        plan(upstream),
        Sockets {
            transparent: vec![],
            proxy: vec![listener.into()],
            dns_datagram: vec![],
            dns_stream: vec![],
            agent: vec![],
            control,
        },
        Handed { secrets: Secrets::default(), ends: None, renewals: None },
    )
}
