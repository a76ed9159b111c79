//! A network namespace out of which nothing leads but sockets that are held outside.
//!
//! It has a loopback interface and nothing else. Names are asked for at port 53, and where the profile wants
//! a proxy, it listens beside that. Where it wants connections led, every address is local ([`route`]), so that a
//! connection to anywhere is made, and leaves nothing; every TCP connection but those for the loopback
//! interface is led to one listener ([`redirect`]), which is tried once ([`tried`]). Where it does not, there is
//! no route to anywhere. Who holds the sockets decides what becomes of what arrives. The kernel is told in its
//! own words ([`message`]): no program of the host's is started.

mod message;
pub(crate) mod passed;
mod redirect;
mod route;
mod tried;
pub(crate) mod user;

use crate::sandbox::StartError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sandboxd_egress_plan::{PROXY, Ways};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// `AF_INET` and `AF_INET6`, which netfilter calls by the same numbers.
const V4: u8 = 2;
const V6: u8 = 10;

/// Where names are asked for.
const NAMES: u16 = 53;

/// What to do where connections are not led.
const NOT_LED: &str = "the kernel needs nf_tables with nat and redirect for IPv4 and IPv6 (CONFIG_NFT_REDIR, CONFIG_NF_TABLES_INET): load the module nft_redir; or write [network] way = \"proxy\", for programs that use HTTPS_PROXY";

/// As many as the kernel lets wait.
const BACKLOG: i32 = 4096;

/// The sockets of a namespace.
#[derive(Debug)]
pub struct Inside {
    /// TCP listeners to which connections are led. Whom one was for is what `SO_ORIGINAL_DST` says.
    pub transparent: Vec<OwnedFd>,
    /// TCP listeners of the proxy.
    pub proxy: Vec<OwnedFd>,
    /// UDP sockets at which names are asked for: at every IPv4 address, and at the loopback address of
    /// IPv6. A client of another IPv6 address would be answered from the loopback one, and not listen.
    pub dns_datagram: Vec<OwnedFd>,
    /// TCP listeners at which names are asked for, at the loopback addresses.
    pub dns_stream: Vec<OwnedFd>,
    /// Where an ssh-agent is asked, which is a place in the sandbox's view and none of its network.
    pub agent: Vec<OwnedFd>,
}

/// Leads everything in a network namespace that nobody has used yet to sockets.
///
/// # Errors
/// Where the kernel has no nf_tables, or the caller is not the namespace's administrator: then nothing
/// may be started in it, though nothing leads out of it either.
pub fn lead(namespace: &OwnedFd, ways: Ways) -> Result<Inside, StartError> {
    // The thread that enters it does nothing else, and ends.
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name(String::from("network"))
            .spawn_scoped(scope, || enter(namespace.as_fd()).and_then(|()| inside(ways)))
            .map_err(|error| StartError::io("clone3", "a thread", &error))?
            .join()
            .unwrap_or_else(|_| Err(StartError::found("join", "a thread panicked")))
    })
}

fn enter(namespace: BorrowedFd<'_>) -> Result<(), StartError> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
        .map_err(|errno| StartError::call("setns", "CLONE_NEWNET", errno))
}

fn inside(ways: Ways) -> Result<Inside, StartError> {
    route::loopback_up().map_err(|errno| StartError::call("RTM_NEWLINK", "lo", errno))?;
    let opened = |errno| StartError::call("bind", "a socket of the sandbox's network", errno);
    let v6 = has_v6().map_err(opened)?;
    let mut inside = Inside {
        transparent: Vec::new(),
        proxy: Vec::new(),
        dns_datagram: vec![datagram(Ipv4Addr::UNSPECIFIED.into()).map_err(opened)?],
        dns_stream: vec![listener((Ipv4Addr::LOCALHOST, NAMES).into()).map_err(opened)?],
        agent: Vec::new(),
    };
    if v6 {
        inside.dns_datagram.push(datagram(Ipv6Addr::LOCALHOST.into()).map_err(opened)?);
        inside.dns_stream.push(listener((Ipv6Addr::LOCALHOST, NAMES).into()).map_err(opened)?);
    }
    if ways.proxies() {
        inside.proxy.push(listener(PROXY.into()).map_err(opened)?);
    }
    if ways.redirects() {
        inside.transparent = redirected(v6)?;
    }
    Ok(inside)
}

/// Listeners to which every connection to elsewhere is led, which there is none to without that.
fn redirected(v6: bool) -> Result<Vec<OwnedFd>, StartError> {
    let routed = |subject| move |errno| StartError::call("RTM_NEWROUTE", subject, errno);
    let opened = |errno| StartError::call("bind", "a socket of the sandbox's network", errno);
    route::all_local(V4).map_err(routed("local 0.0.0.0/0"))?;
    let first = listener(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(opened)?;
    let port = port(&first).map_err(opened)?;
    let mut listeners = vec![first];
    if v6 {
        route::all_local(V6).map_err(routed("local ::/0"))?;
        listeners.push(listener((Ipv6Addr::LOCALHOST, port).into()).map_err(opened)?);
    }
    redirect::all_to(port).map_err(|errno| {
        StartError::call("nf_tables", "a redirect of TCP", errno).with_remedy(NOT_LED)
    })?;
    tried::arrives(&listeners)?;
    Ok(listeners)
}

/// Whether this kernel speaks IPv6 at all. Where it does not, nothing in the sandbox can either.
fn has_v6() -> Result<bool, Errno> {
    match stream(AddressFamily::INET6) {
        Ok(_) => Ok(true),
        Err(Errno::AFNOSUPPORT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn stream(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn listener(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = stream(family(address))?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn datagram(address: std::net::IpAddr) -> Result<OwnedFd, Errno> {
    let address = SocketAddr::new(address, NAMES);
    let socket = socket_with(family(address), SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &address)?;
    Ok(socket)
}

fn port(socket: &OwnedFd) -> Result<u16, Errno> {
    let address = SocketAddr::try_from(getsockname(socket)?)?;
    Ok(address.port())
}

#[cfg(test)]
mod tests;
