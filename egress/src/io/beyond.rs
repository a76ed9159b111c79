//! Whom requests go to, and whose answers come back: TLS begins there anew where it was ended here, and a
//! secret that was put in does not come back.

use super::{client::Client, dial::Upstream, meter::Meter, stream::Stream, world::World};
use crate::{
    http::{Ends, Framing, Head, Reply},
    limit::Direction,
    mask::Mask,
    put::puts,
    rule::Place,
};
use sandboxd_egress_plan::Verdict;
use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    time::Duration,
};
use tokio::time::timeout;

/// How long the beginning of something that may be a secret waits for the rest of it.
const REST: Duration = Duration::from_millis(500);

/// An upstream of requests.
#[derive(Debug)]
pub(super) struct Beyond<'a, S> {
    world: &'a World,
    place: &'a Place,
    pub(super) stream: S,
    pub(super) address: IpAddr,
    /// Where something was put into requests to it.
    mask: Option<Rc<Mask>>,
    /// Something was put into the last request.
    put: Cell<bool>,
    /// What may be the beginning of a secret.
    held: RefCell<Vec<u8>>,
}

impl<'a, S: Stream> Beyond<'a, S> {
    /// On this connection.
    pub(super) async fn begin(
        world: &'a World,
        place: &'a Place,
        upstream: &Upstream,
    ) -> Result<Self, Verdict> {
        let stream = S::outward(world, &upstream.stream, place).await?;
        let (address, mask) = (upstream.address, world.mask(place));
        Ok(Self {
            world,
            place,
            stream,
            address,
            mask,
            put: Cell::new(false),
            held: RefCell::default(),
        })
    }

    /// Whether something is covered in what comes back.
    pub(super) const fn is_masked(&self) -> bool {
        self.mask.is_some()
    }

    /// Asks for this; false where it takes no more. Where a secret is put in, the answer is to be one in
    /// which that would be seen.
    pub(super) async fn ask(
        &self,
        meter: &Meter<'_>,
        head: &mut Head,
        last: bool,
    ) -> Result<bool, Verdict> {
        let at = (self.place, S::COVER);
        let puts = puts(&self.world.plan, self.world.secrets(), head, at)?;
        self.put.set(!puts.is_empty());
        if self.put.get() {
            head.ask_plain();
        }
        self.send(meter, &head.written(at, last, &puts)).await
    }

    /// Sends; false where it takes no more.
    pub(super) async fn send(&self, meter: &Meter<'_>, bytes: &[u8]) -> Result<bool, Verdict> {
        meter.spend(Direction::Up, bytes.len())?;
        Ok(self.stream.write(bytes).await.is_ok())
    }

    /// Reads what comes back; false where there will be no more.
    pub(super) async fn read(&self, to: &mut Vec<u8>) -> Result<bool, Verdict> {
        let Some(mask) = &self.mask else { return self.stream.read(to).await };
        loop {
            let mut bytes = Vec::new();
            let read = self.stream.read(&mut bytes);
            let waits = !self.held.borrow().is_empty();
            let more = if waits {
                // Nobody who says a secret back lets so much time pass in the midst of it.
                timeout(REST, read).await.unwrap_or(Ok(false))?
            } else {
                read.await?
            };
            let mut held = self.held.borrow_mut();
            held.append(&mut bytes);
            let settled = mask.cover(&mut held);
            let settled = if more { settled } else { held.len() };
            to.extend(held.drain(..settled));
            if settled > 0 || !more {
                return Ok(settled > 0);
            }
        }
    }

    /// Whether an answer may come back: where a secret was put in, only one in which that would be seen.
    pub(super) fn may_answer(&self, reply: &Reply) -> bool {
        !self.put.get() || reply.plain || reply.ends == Ends::With(Framing::Length(0))
    }

    /// Passes on how it ended, to a client that was told all it said.
    pub(super) async fn farewell(&self, client: &mut Client<S>) {
        client.stream.end(Some(&self.stream)).await.ok();
    }
}
