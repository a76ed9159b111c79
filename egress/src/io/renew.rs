//! What is put into requests, anew, while connections go on: the supervisor read it again, and the next request
//! has it.

use super::world::World;
use crate::secret::{self, HANDED, Message, SecretError, answer, malformed, unlocked};
use crate::ssh::agent::Agent;
use std::{convert::Infallible, io, os::fd::OwnedFd, rc::Rc};
use tokio::net::UnixDatagram;

/// Takes what comes, for as long as the supervisor is there; its end is seen elsewhere.
pub(super) async fn renewals(socket: OwnedFd, world: Rc<World>) -> io::Result<Infallible> {
    let socket = std::os::unix::net::UnixDatagram::from(socket);
    socket.set_nonblocking(true)?;
    // It keeps messages apart, as one of datagrams does.
    let socket = UnixDatagram::from_std(socket)?;
    loop {
        socket.readable().await?;
        // Read anew each time, into memory that is kept for no longer than that takes.
        let Ok(mut message) = Message::with_room(HANDED) else {
            // So much cannot be locked now: it is let go of, and what was there goes on to be used.
            let not = answer(Err(unlocked()));
            if socket.try_recv(&mut []).is_ok() && socket.send(&[not]).await.is_err() {
                return std::future::pending().await;
            }
            continue;
        };
        match message.extend(|room| socket.try_recv(room)) {
            Ok(0) => return std::future::pending().await,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return std::future::pending().await,
        }
        if socket.send(&[answer(renewed(&world, &message))]).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Has it used, where it can be.
fn renewed(world: &World, message: &Message) -> Result<(), SecretError> {
    let (secrets, authority) = secret::decode(message.bytes(), &world.plan.id)?;
    if authority.is_some() {
        // An authority is not renewed.
        return Err(malformed());
    }
    let agent = Agent::new(&world.plan, &secrets)?;
    world.renew(secrets, agent)
}
