//! Asks where a name leads: what the host's file has, or else its servers, one after the other.

use super::stream::{Stream as _, Tcp};
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
        (Found::Addresses(mut four), Found::Addresses(six)) => {
            four.extend(six);
            Some(four)
        }
        // Some servers know no name that has no address of IPv6.
        (Found::Addresses(some), _) | (_, Found::Addresses(some)) if !some.is_empty() => Some(some),
        (Found::NoName, _) | (_, Found::NoName) => Some(Vec::new()),
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
    let stream = Tcp::new(TcpStream::connect(server).await?);
    let length = u16::try_from(question.len()).map_err(|_| broke())?;
    let asked = [&length.to_be_bytes(), question].concat();
    stream.write(&asked).await.map_err(|_| broke())?;
    let mut bytes = Vec::new();
    loop {
        if let Some((length, rest)) = bytes.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if let Some(message) = rest.get(..length) {
                return found(message, id, name, family).ok_or_else(broke);
            }
        }
        if !stream.read(&mut bytes).await.map_err(|_| broke())? {
            return Err(broke());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::host;
    use sandboxd_egress_plan::{Known, Millis};
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, UdpSocket},
        thread,
    };

    /// What a server answers: flags, how many records, and them.
    type Says = fn(family: u8) -> (u16, u8, Vec<u8>);

    const A_RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
    const AAAA_RECORD: [u8; 28] = [
        0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 1,
    ];

    fn reply(asked: &[u8], says: Says) -> Vec<u8> {
        let (flags, count, records) = says(asked[asked.len() - 3]);
        let mut bytes = asked.to_vec();
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[7] = count;
        [bytes, records].concat()
    }

    /// A server that says this in datagrams, and that on connections.
    fn server(datagrams: Says, streams: Says) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(address).unwrap();
        thread::spawn(move || {
            let mut bytes = [0; 512];
            loop {
                let (count, from) = socket.recv_from(&mut bytes).unwrap();
                let answer = reply(&bytes[..count], datagrams);
                // What answers another question comes before what answers this one.
                let other = [&[!answer[0]][..], &answer[1..]].concat();
                socket.send_to(&other, from).unwrap();
                socket.send_to(&answer, from).unwrap();
            }
        });
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut asked).unwrap();
                let answer = reply(&asked, streams);
                let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &answer].concat()).unwrap();
            }
        });
        address
    }

    fn none(_: u8) -> (u16, u8, Vec<u8>) {
        (0x8180, 0, vec![])
    }

    fn failed(_: u8) -> (u16, u8, Vec<u8>) {
        (0x8182, 0, vec![])
    }

    fn no_name(_: u8) -> (u16, u8, Vec<u8>) {
        (0x8183, 0, vec![])
    }

    fn cut(_: u8) -> (u16, u8, Vec<u8>) {
        (0x8380, 0, vec![])
    }

    fn both(family: u8) -> (u16, u8, Vec<u8>) {
        (0x8180, 1, if family == 1 { A_RECORD.to_vec() } else { AAAA_RECORD.to_vec() })
    }

    fn ask(servers: Vec<SocketAddr>) -> Result<Vec<IpAddr>, Verdict> {
        let known =
            Known { name: host("known.example"), addresses: vec![Ipv4Addr::LOCALHOST.into()] };
        let resolver = Resolver { hosts: vec![known], servers, wait: Millis(60_000), rounds: 2 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(
            runtime.block_on(resolve(&resolver, &host("known.example"))),
            Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            "nobody is asked what the file has"
        );
        runtime.block_on(resolve(&resolver, &host("a.example")))
    }

    #[test]
    fn both_families_are_asked_for_and_the_next_server_where_one_fails() {
        let wanted: Vec<IpAddr> =
            vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(ask(vec![server(failed, failed), server(both, failed)]), Ok(wanted.clone()));
        assert_eq!(ask(vec![server(cut, both)]), Ok(wanted));
    }

    #[test]
    fn a_name_that_is_not_there_is_not_asked_for_elsewhere() {
        assert_eq!(ask(vec![server(no_name, both), server(both, both)]), Err(Verdict::Unresolved));
        assert_eq!(ask(vec![server(none, both), server(both, both)]), Err(Verdict::Unresolved));
        assert_eq!(ask(vec![server(failed, both)]), Err(Verdict::Unresolved));
        assert_eq!(ask(vec![]), Err(Verdict::Unresolved));
    }
}
