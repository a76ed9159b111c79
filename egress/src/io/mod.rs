//! Moves bytes: between the sockets that were opened inside the sandbox, and those that are opened
//! outside. Here nothing is decided but the order of the steps.
//!
//! One thread, and for each connection a task that goes through its steps and ends with one record.
//! Every wait has a deadline, but for what a rule leaves unlimited, and a session with the SSH agent between two requests.

mod accept;
mod agent;
mod answer;
mod beyond;
mod client;
mod connect;
mod connection;
mod content;
mod counted;
mod dial;
mod dns;
mod ended;
mod exchange;
mod fault;
mod host;
mod keeper;
mod meter;
mod original;
mod piece;
mod proxy;
mod renew;
mod requests;
mod resolve;
mod secure;
mod splice;
mod story;
mod stream;
mod tell;
mod tunnel;
mod world;

use crate::{
    authority::Authority,
    secret::{self, Secrets},
};
use connection::connections;
use sandboxd_egress_plan::{Carries, EgressPlan, record::Way};
use std::{
    io,
    net::{TcpListener, UdpSocket},
    os::{fd::OwnedFd, unix::net::UnixListener},
    rc::Rc,
};
use tokio::{
    runtime::{Builder, LocalOptions},
    task::JoinSet,
};
use world::World;

/// The sockets that the supervisor opened: those of the sandbox, and its own. None need be of any kind.
#[derive(Debug)]
pub struct Sockets {
    /// TCP listeners to which every connection is led that a program in the sandbox opens. Whom it was
    /// for is what the kernel says (`SO_ORIGINAL_DST`), or the address that it arrived at where it was
    /// not redirected.
    pub transparent: Vec<OwnedFd>,
    /// TCP listeners of the proxy: `CONNECT`, plain HTTP and SOCKS 5.
    pub proxy: Vec<OwnedFd>,
    /// UDP sockets on which names are asked for.
    pub dns_datagram: Vec<OwnedFd>,
    /// TCP listeners on which names are asked for.
    pub dns_stream: Vec<OwnedFd>,
    /// Listeners of an ssh-agent, of Unix's own kind.
    pub agent: Vec<OwnedFd>,
    /// A `SOCK_SEQPACKET` pair's end: records go there, and its end is the process's.
    pub control: OwnedFd,
}

/// What the supervisor hands over besides, and no plan has.
#[derive(Debug)]
pub struct Handed {
    /// What is put into requests.
    pub secrets: Secrets,
    /// What TLS is ended with, where a rule wants that.
    pub ends: Option<Ends>,
    /// A `SOCK_SEQPACKET` pair's end: what is put into requests comes there anew, and that it was taken is
    /// answered. Where nothing is put into any, there is none.
    pub renewals: Option<OwnedFd>,
    /// A `SOCK_SEQPACKET` pair's end: the number of a secret that another ssh-agent keeps goes there with a
    /// socket of the same kind, at which a connection to that agent comes. Where none keeps any, there is none.
    pub lender: Option<OwnedFd>,
}

/// What TLS is ended with.
#[derive(Debug)]
pub struct Ends {
    /// Whose certificates the programs in the sandbox are shown.
    pub authority: Authority,
    /// Whose certificates upstreams may show: those that the host trusts, PEM. The authority is none of
    /// them.
    pub roots: Vec<u8>,
}

/// Serves until the other end of `control` is closed.
///
/// # Errors
/// Where a socket is none of its kind, or can be served no more; where there is no runtime to be had;
/// where what is handed over is not what the plan wants.
pub fn serve(plan: EgressPlan, sockets: Sockets, mut handed: Handed) -> io::Result<()> {
    secret::check(&handed.secrets, &plan).map_err(io::Error::other)?;
    let Sockets { transparent, proxy, .. } = &sockets;
    let [led, asked] = [plan.ways.redirects(), plan.ways.proxies()];
    if (!led && !transparent.is_empty()) || (!asked && !proxy.is_empty()) {
        return Err(io::Error::other("a socket is of a way that the plan does not have"));
    }
    let ended = plan.rules.iter().any(|rule| matches!(rule.carries, Carries::Https(_)));
    if ended != handed.ends.is_some() {
        return Err(io::Error::other("there is an authority where TLS is ended, and only there"));
    }
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_io().enable_time().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let renewals = handed.renewals.take();
        let world = Rc::new(World::new(plan, sockets.control, handed)?);
        let mut serving = JoinSet::new();
        if let Some(renewals) = renewals {
            serving.spawn_local(renew::renewals(renewals, Rc::clone(&world)));
        }
        for socket in sockets.dns_datagram {
            serving.spawn_local(dns::datagrams(datagram(socket)?, Rc::clone(&world)));
        }
        for socket in sockets.dns_stream {
            serving.spawn_local(dns::streams(listener(socket)?, Rc::clone(&world)));
        }
        for socket in sockets.transparent {
            serving.spawn_local(connections(
                listener(socket)?,
                Rc::clone(&world),
                Way::Transparent,
            ));
        }
        for socket in sockets.proxy {
            serving.spawn_local(connections(listener(socket)?, Rc::clone(&world), Way::Proxy));
        }
        for socket in sockets.agent {
            serving.spawn_local(agent::connections(local(socket)?, Rc::clone(&world)));
        }
        tokio::select! {
            gone = world.gone() => gone,
            // One that can serve no more would keep its clients waiting for ever.
            Some(ended) = serving.join_next() => match ended.map_err(io::Error::other)? {
                Err(error) => Err(error),
                Ok(never) => match never {},
            },
        }
    })
}

fn listener(socket: OwnedFd) -> io::Result<tokio::net::TcpListener> {
    let socket = TcpListener::from(socket);
    connect::inside(&socket)?;
    socket.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(socket)
}

fn local(socket: OwnedFd) -> io::Result<tokio::net::UnixListener> {
    let socket = UnixListener::from(socket);
    socket.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(socket)
}

fn datagram(socket: OwnedFd) -> io::Result<tokio::net::UdpSocket> {
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    tokio::net::UdpSocket::from_std(socket)
}

#[cfg(test)]
mod tests;
