//! Whom a connection was for that was led here.

use crate::{
    names::{Names, Stands},
    rule::{Place, Whom},
};
use rustix::net::sockopt;
use sandboxd_egress_plan::Verdict;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// The address that the client meant.
pub(super) fn destination(stream: &TcpStream) -> Result<SocketAddr, Verdict> {
    let arrived = stream.local_addr().map_err(|_| Verdict::Broke)?;
    let arrived = SocketAddr::new(arrived.ip().to_canonical(), arrived.port());
    // A kernel that did not redirect it knows nothing of it, and then it arrived where it was sent.
    Ok(match arrived {
        SocketAddr::V4(_) => sockopt::ip_original_dst(stream).map_or(arrived, SocketAddr::V4),
        SocketAddr::V6(_) => sockopt::ipv6_original_dst(stream).map_or(arrived, SocketAddr::V6),
    })
}

/// Whom that is for.
pub(super) fn place(destination: SocketAddr, names: &Names) -> Result<Place, Verdict> {
    let (address, port) = (destination.ip(), destination.port());
    let whom = match names.stands(address) {
        Stands::For(name) => Whom::Name(name.clone()),
        Stands::ForItself => Whom::Address(address),
        Stands::ForNone => return Err(Verdict::UnknownAddress),
    };
    Ok(Place { whom, port })
}
