//! Asks where a name leads: what the host's file has, or else its servers, one after the other.

use crate::dns::ask::{Family, Found, found, question};
use rustix::rand::{GetRandomFlags, getrandom};
use sandboxd_egress_plan::{HostName, Resolver, Verdict};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How much longer the addresses of one family are waited for, once there are some of the other.
const OTHER: Duration = Duration::from_millis(250);

/// The most bytes of an answer.
const MOST: usize = 4096;

/// The addresses of a name.
pub(super) async fn resolve(resolver: &Resolver, name: &HostName) -> Result<Vec<IpAddr>, Verdict> {
    if let Some(known) = resolver.hosts.iter().find(|known| known.name == *name) {
        return Ok(known.addresses.clone());
    }
    for _ in 0..resolver.rounds {
        for server in &resolver.servers {
            if let Some(addresses) = ask_both(*server, name, resolver).await {
                return if addresses.is_empty() { Err(Verdict::Unresolved) } else { Ok(addresses) };
            }
        }
    }
    Err(Verdict::Unresolved)
}

/// What a server says of both families; nothing where it says nothing of use. Those of IPv4 are tried
/// first, because a host that has no IPv6 may not know it.
async fn ask_both(server: SocketAddr, name: &HostName, resolver: &Resolver) -> Option<Vec<IpAddr>> {
    let wait = Duration::from_millis(resolver.wait.0);
    let four = timeout(wait, ask(server, name, Family::Four));
    let six = timeout(wait, ask(server, name, Family::Six));
    tokio::pin!(four, six);
    let (four, six) = tokio::select! {
        four = &mut four => (four, timeout(OTHER.min(wait), six).await.ok()),
        six = &mut six => (four.await, Some(six)),
    };
    let four = four.ok().and_then(Result::ok).unwrap_or(Found::Failed);
    let six = six.and_then(Result::ok).and_then(Result::ok).unwrap_or(Found::Failed);
    match (four, six) {
        (Found::NoName, _) | (_, Found::NoName) => Some(Vec::new()),
        (Found::Addresses(mut four), Found::Addresses(six)) => {
            four.extend(six);
            Some(four)
        }
        (Found::Addresses(some), _) | (_, Found::Addresses(some)) if !some.is_empty() => Some(some),
        (Found::Addresses(_) | Found::Failed | Found::Cut, _) => None,
    }
}

async fn ask(server: SocketAddr, name: &HostName, family: Family) -> io::Result<Found> {
    let mut id = [0; 2];
    getrandom(&mut id, GetRandomFlags::empty())?;
    let id = u16::from_ne_bytes(id);
    let question = question(id, name, family);
    let nobody: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Each question from a port of its own, and answers from elsewhere do not come through.
    let socket = UdpSocket::bind((nobody, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut bytes = vec![0; MOST];
    loop {
        let count = socket.recv(&mut bytes).await?;
        match found(bytes.get(..count).unwrap_or_default(), id, name, family) {
            Some(Found::Cut) => return ask_at_length(server, &question, (id, name, family)).await,
            Some(found) => return Ok(found),
            None => {}
        }
    }
}

/// Asks by TCP, for an answer that is too long for a datagram.
async fn ask_at_length(
    server: SocketAddr,
    question: &[u8],
    (id, name, family): (u16, &HostName, Family),
) -> io::Result<Found> {
    let broke = || io::Error::from(io::ErrorKind::InvalidData);
    let stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| broke())?;
    let asked = [&length.to_be_bytes(), question].concat();
    super::client::write(&stream, &asked).await.map_err(|_| broke())?;
    let mut bytes = Vec::new();
    loop {
        if let Some((length, rest)) = bytes.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if let Some(message) = rest.get(..length) {
                return found(message, id, name, family).ok_or_else(broke);
            }
        }
        if !super::client::read(&stream, &mut bytes).await.map_err(|_| broke())? {
            return Err(broke());
        }
    }
}
