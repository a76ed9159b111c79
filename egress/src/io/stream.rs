//! What bytes come from and go to: a connection as it is, or what is said in TLS on one.

use super::{
    meter::Meter,
    piece::{self, Room},
    splice,
    world::World,
};
use crate::{
    limit::Direction,
    rule::{Cover, Place},
};
use sandboxd_egress_plan::Verdict;
use std::{io::ErrorKind, mem::MaybeUninit, rc::Rc, time::Duration};
use tokio::{net::TcpStream, task::coop::consume_budget};

/// A connection. Who reads and who writes have it at the same time.
pub(super) type Tcp = Rc<TcpStream>;

/// Bytes both ways.
pub(super) trait Stream: Sized {
    /// What is around them.
    const COVER: Cover;

    /// The same on a connection to an upstream.
    async fn outward(world: &World, tcp: &Tcp, place: &Place) -> Result<Self, Verdict>;

    /// The connection below.
    fn tcp(&self) -> &TcpStream;

    /// Reads what is there; false where there will be no more.
    async fn read(&self, to: &mut Vec<u8>) -> Result<bool, Verdict>;

    /// Writes all of it.
    async fn write(&self, bytes: &[u8]) -> Result<(), Verdict>;

    /// Says that there is no more, as this one said it, where it did.
    async fn end(&self, as_this: Option<&Self>) -> Result<(), Verdict>;

    /// Carries all that comes back, until there is no more.
    async fn back(&self, to: &Self, meter: &Meter<'_>) -> Result<(), Verdict> {
        let mut bytes = Vec::new();
        while self.read(&mut bytes).await? {
            meter.spend(Direction::Down, bytes.len())?;
            to.write(&bytes).await?;
            bytes.clear();
        }
        Ok(())
    }
}

impl Stream for Tcp {
    const COVER: Cover = Cover::Plain;

    async fn outward(_: &World, tcp: &Tcp, _: &Place) -> Result<Self, Verdict> {
        Ok(Self::clone(tcp))
    }

    fn tcp(&self) -> &TcpStream {
        self
    }

    async fn read(&self, to: &mut Vec<u8>) -> Result<bool, Verdict> {
        loop {
            // However fast this one is, it is somebody else's turn now and then.
            consume_budget().await;
            self.readable().await.map_err(|_| Verdict::Broke)?;
            // Here and not before, so that whoever waits holds no room for it.
            let mut room: Room = [MaybeUninit::uninit(); piece::MOST];
            match piece::received(self, &mut room) {
                Ok(bytes) => {
                    to.extend_from_slice(bytes);
                    return Ok(!bytes.is_empty());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Err(Verdict::Broke),
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> Result<(), Verdict> {
        loop {
            bytes = piece::sent(self, bytes)?;
            if bytes.is_empty() {
                return Ok(());
            }
            consume_budget().await;
            self.writable().await.map_err(|_| Verdict::Broke)?;
        }
    }

    async fn end(&self, _: Option<&Self>) -> Result<(), Verdict> {
        splice::end(self)
    }

    async fn back(&self, to: &Self, meter: &Meter<'_>) -> Result<(), Verdict> {
        splice::all(self, to, meter, Direction::Down).await
    }
}

/// Whoever is at the other end sees that the connection failed, and not that it ended.
pub(super) fn cut(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok();
}
