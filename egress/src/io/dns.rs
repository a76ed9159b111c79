//! The sockets on which a sandbox asks for names.

use super::{
    accept,
    client::{Client, Unheard, until},
    stream::{Stream as _, Tcp},
    world::World,
};
use crate::{
    Read,
    dns::answer::{Answer, MOST, Zone, answer},
    rule::is_named,
};
use sandboxd_egress_plan::{HostName, Record, Verdict, record::Way};
use std::{convert::Infallible, io, net::IpAddr, rc::Rc};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::spawn_local,
    time::timeout_at,
};

/// The names that a rule has.
struct Named<'a>(&'a World);

impl Zone for Named<'_> {
    fn addresses(&mut self, name: &HostName) -> Option<Vec<IpAddr>> {
        is_named(&self.0.plan.rules, name).then(|| self.0.names().give(name))
    }
}

/// The answer to a message; what was refused is told.
fn said(world: &World, message: &[u8]) -> Vec<u8> {
    let Answer { message, refused } = answer(message, &mut Named(world), world.plan.fakes.ttl);
    if let Some(refused) = refused {
        world.tell(Record {
            verdict: refused.verdict,
            way: Way::Dns,
            rule: None,
            name: refused.name,
            address: None,
            port: 0,
            up: 0,
            down: 0,
            millis: 0,
            secrets: 0,
            puts: 0,
        });
    }
    message
}

/// Answers datagrams. Nothing is remembered of who asked.
pub(super) async fn datagrams(socket: UdpSocket, world: Rc<World>) -> io::Result<Infallible> {
    // One byte more than there may be, so that too many are seen.
    let mut bytes = [0; MOST + 1];
    loop {
        let (count, from) = accept::datagram(&socket, &mut bytes).await?;
        let message = said(&world, bytes.get(..count).unwrap_or_default());
        if !message.is_empty() {
            // Who does not take it asks again.
            socket.send_to(&message, from).await.ok();
        }
    }
}

/// Answers on connections, as many questions as are asked on each.
pub(super) async fn streams(listener: TcpListener, world: Rc<World>) -> io::Result<Infallible> {
    loop {
        let stream = accept::connection(&listener).await?;
        drop(spawn_local(stream_of(stream, Rc::clone(&world))));
    }
}

async fn stream_of(stream: TcpStream, world: Rc<World>) {
    let Ok(_pending) = world.pend() else { return };
    let mut client = Client::new(Tcp::new(stream));
    loop {
        let until = until(world.plan.waits.head);
        let asked = client.find(until, |bytes| whole(bytes).map_err(Unheard)).await;
        let Ok((message, length)) = asked else { return };
        client.take(length);
        let message = said(&world, &message);
        let Ok(long) = u16::try_from(message.len()) else { return };
        let bytes = [&long.to_be_bytes(), &message[..]].concat();
        if message.is_empty()
            || !matches!(timeout_at(until, client.stream.write(&bytes)).await, Ok(Ok(())))
        {
            return;
        }
    }
}

/// A message after its length. One that is too long is not waited for.
fn whole(bytes: &[u8]) -> Result<Read<Vec<u8>>, Verdict> {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return Ok(Read::More) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MOST {
        return Err(Verdict::Malformed);
    }
    Ok(rest.get(..length).map_or(Read::More, |message| Read::Done(message.to_vec(), 2 + length)))
}
