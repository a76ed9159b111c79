//! What the examples share: a plan that lets out to ports of this machine, and who hears what is told.

use rustix::net::{
    AddressFamily, RecvFlags, Shutdown, SocketFlags, SocketType, recv, shutdown, socketpair,
};
use sandboxd_egress_plan::{
    Agent, Bound, Breaker, Carries, Deadlines, EgressPlan, Fakes, Limits, Millis, Network, Rate,
    Resolver, Rule, Target, Told, VERSION, Waits, Ways,
};
use std::{
    io::{self, Result},
    os::fd::OwnedFd,
    thread,
};

const UNLIMITED: Limits = Limits {
    connections: Bound::Unlimited,
    rate: Rate::Unlimited,
    up: Bound::Unlimited,
    down: Bound::Unlimited,
};

/// Lets out to these ports what they carry.
pub(crate) fn plan(rules: impl IntoIterator<Item = (u16, Carries)>) -> Result<EgressPlan> {
    let rule = |(port, carries): (u16, Carries)| Rule {
        written: format!("host.internal:{port}"),
        target: Target::Host,
        port,
        carries,
        within: vec![],
        own: vec![],
        accounts: vec![0],
        deadlines: Deadlines { idle: Bound::AtMost(60_000), total: Bound::Unlimited },
        model: false,
    };
    let led = Network::try_from("127.18.0.0/16").map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(EgressPlan {
        version: VERSION,
        id: "example".into(),
        ways: Ways::Both,
        rules: rules.into_iter().map(rule).collect(),
        secrets: vec![],
        injects: vec![],
        agent: Agent {
            signers: vec![],
            connections: 0,
            rate: Rate::Unlimited,
            patience: Millis(0),
        },
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
        fakes: Fakes { ranges: vec![led], names: 16, ttl: 60 },
        resolver: Resolver { hosts: vec![], servers: vec![], wait: Millis(1000), rounds: 0 },
    })
}

/// Whom the egress process tells: its end of that. Every record is taken, and none is kept; that ends when
/// `until` returns.
pub(crate) fn supervisor(until: impl FnOnce() + Send + 'static) -> Result<OwnedFd> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (ours, theirs) = pair;
    let heard = ours.try_clone()?;
    thread::spawn(move || {
        let mut bytes = [0; Told::MOST];
        while recv(&heard, &mut bytes, RecvFlags::empty()).is_ok_and(|(length, _)| length > 0) {}
    });
    thread::spawn(move || {
        until();
        shutdown(&ours, Shutdown::Both)
    });
    Ok(theirs)
}
