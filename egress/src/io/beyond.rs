//! Whom requests go to, and whose answers come back: TLS begins there anew where it was ended here, and a
//! secret that goes there does not come back.

use super::{client::Client, dial::Upstream, meter::Meter, stream::Stream, world::World};
use crate::{
    http::{Ends, Framing, Head, Reply},
    limit::Direction,
    mask::Mask,
    put::{Put, puts},
    rule::Place,
};
use sandboxd_egress_plan::Verdict;
use std::{net::IpAddr, rc::Rc};

/// An upstream of requests.
#[derive(Debug)]
pub(super) struct Beyond<'a, S> {
    world: &'a World,
    place: &'a Place,
    pub(super) stream: S,
    pub(super) address: IpAddr,
}

impl<'a, S: Stream> Beyond<'a, S> {
    /// On this connection.
    pub(super) async fn begin(
        world: &'a World,
        place: &'a Place,
        upstream: &Upstream,
    ) -> Result<Self, Verdict> {
        let stream = S::outward(world, &upstream.stream, place).await?;
        let address = upstream.address;
        Ok(Self { world, place, stream, address })
    }

    /// What covers secrets in what comes back now, where any goes to that host.
    pub(super) fn mask(&self) -> Option<Rc<Mask>> {
        self.world.mask(self.place)
    }

    /// Asks for this; false where it takes no more. Where secrets are covered, whether one is put into this
    /// request or into another, the answer is to be one in which they would be seen.
    pub(super) async fn ask(
        &self,
        meter: &Meter<'_>,
        head: &mut Head,
        last: bool,
    ) -> Result<bool, Verdict> {
        let at = (self.place, S::COVER);
        let puts = puts(&self.world.plan, &self.world.secrets(), head, at)?;
        if self.mask().is_some() {
            head.ask_plain();
        }
        if !puts.is_empty() {
            meter.put(puts.iter().map(|(number, _)| *number));
        }
        let puts: Vec<Put> = puts.into_iter().map(|(_, put)| put).collect();
        self.send(meter, &head.written(at, last, &puts)).await
    }

    /// Sends; false where it takes no more.
    pub(super) async fn send(&self, meter: &Meter<'_>, bytes: &[u8]) -> Result<bool, Verdict> {
        meter.spend(Direction::Up, bytes.len())?;
        Ok(self.stream.write(bytes).await.is_ok())
    }

    /// Whether an answer may come back: where secrets are covered, only one in which they would be seen.
    pub(super) fn may_answer(&self, reply: &Reply) -> Result<(), Verdict> {
        let says_nothing = reply.ends == Ends::With(Framing::Length(0));
        if says_nothing || self.mask().is_none() {
            return Ok(());
        }
        match (reply.plain, reply.whole) {
            (false, _) => Err(Verdict::Encoded),
            (true, false) => Err(Verdict::Partial),
            (true, true) => Ok(()),
        }
    }

    /// Passes on how it ended, to a client that was told all it said.
    pub(super) async fn farewell(&self, client: &mut Client<S>) {
        client.stream.end(Some(&self.stream)).await.ok();
    }
}
