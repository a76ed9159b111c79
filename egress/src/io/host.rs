//! Which addresses are this host's own: one is no more to be reached by a public address of its than by its
//! loopback.

use super::world::now;
use sandboxd_broker::limit::Moment;
use sandboxd_kernel::interfaces::ipv4_addresses;
use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::fd::AsFd as _,
};

/// For so long, in milliseconds, what interfaces have is not asked again: asking can wait for whoever changes one.
const KNOWN: u64 = 1000;

/// This host, as far as its interfaces were asked.
#[derive(Debug, Default)]
pub(super) struct Host(RefCell<Option<(Moment, Vec<Ipv4Addr>)>>);

impl Host {
    /// Whether it is an address of this host; where that cannot be told it is.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(four) => is_source(four.into()) || self.has(four).unwrap_or(true),
            six @ IpAddr::V6(_) => is_source(six),
        }
    }

    /// Whether an interface has it, as its second address too, by which nothing is sent.
    fn has(&self, address: Ipv4Addr) -> io::Result<bool> {
        let now = now().map_err(|_| io::ErrorKind::Other)?;
        let mut known = self.0.borrow_mut();
        if let Some((_, addresses)) = known.as_ref().filter(|(then, _)| now.since(*then).0 < KNOWN)
        {
            return Ok(addresses.contains(&address));
        }
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let addresses = ipv4_addresses(socket.as_fd())?;
        let is_own = addresses.contains(&address);
        *known = Some((now, addresses));
        Ok(is_own)
    }
}

/// A socket that sends nothing says by which address it would send.
fn is_source(address: IpAddr) -> bool {
    let nobody: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = UdpSocket::bind((nobody, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    // Where there is no way to it, connecting fails too.
    own.is_ok_and(|own| own.ip() == address)
}
