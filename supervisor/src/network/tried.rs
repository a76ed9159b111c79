//! Whether a connection to elsewhere arrives at the listener of its family: tried before anybody relies on it.

use super::{NOT_LED, family, stream};
use crate::sandbox::StartError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::fs::Timespec;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SocketFlags, accept_with, connect, getpeername, getsockname};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Addresses that are nobody's, RFC 5737 and RFC 3849, and the port of what throws away, RFC 863.
const ELSEWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
const DISCARD: u16 = 9;
/// How long the kernel may take, which has nobody to wait for.
const WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Connects to elsewhere, once for each listener.
pub(super) fn arrives(listeners: &[OwnedFd]) -> Result<(), StartError> {
    for (listener, elsewhere) in listeners.iter().zip(ELSEWHERE) {
        let to = SocketAddr::new(elsewhere, DISCARD);
        let failed =
            |errno| StartError::call("connect", to.to_string(), errno).with_remedy(NOT_LED);
        if !arrived(listener, to).map_err(failed)? {
            let what = format!("{to} is not redirected to the egress process");
            return Err(StartError::found("connect", what).with_remedy(NOT_LED));
        }
    }
    Ok(())
}

fn arrived(listener: &OwnedFd, to: SocketAddr) -> Result<bool, Errno> {
    let own = stream(family(to))?;
    retry_on_intr(|| connect(&own, &to))?;
    let mut coming = [PollFd::new(listener, PollFlags::IN)];
    if retry_on_intr(|| poll(&mut coming, Some(&WITHIN)))? == 0 {
        return Ok(false);
    }
    let accepted = accept_with(listener, SocketFlags::CLOEXEC)?;
    Ok(SocketAddr::try_from(getpeername(&accepted)?.ok_or(Errno::NOTCONN)?)?
        == SocketAddr::try_from(getsockname(&own)?)?)
}
