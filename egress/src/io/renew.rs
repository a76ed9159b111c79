//! What is put into requests, anew, while connections go on: the supervisor read it again, and the next request
//! has it.

use super::world::World;
use crate::secret::{self, HANDED, Message, NO_KEY, NOT_TAKEN, TAKEN};
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
            if socket.try_recv(&mut []).is_ok() && socket.send(&[NOT_TAKEN]).await.is_err() {
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
        let answer = renewed(&world, &message);
        if socket.send(&[answer]).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// What is answered to it.
fn renewed(world: &World, message: &Message) -> u8 {
    // An authority is not renewed.
    let Ok((secrets, None)) = secret::decode(message.bytes(), &world.plan.id) else {
        return NOT_TAKEN;
    };
    match Agent::new(&world.plan, &secrets) {
        Err(_) => NO_KEY,
        Ok(agent) => world.renew(secrets, agent).map_or(NOT_TAKEN, |()| TAKEN),
    }
}
