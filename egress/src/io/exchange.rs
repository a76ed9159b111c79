//! Requests whose answers are looked at, since some are asked of a model API or secrets go to that host: one
//! after the other, each with its [answer](super::answer), which is read as it passes by.

use super::{
    client::Client,
    counted::Counted,
    fault::Refused,
    requests::{Way, next},
    stream::{Stream, cut},
};
use crate::{
    http::{Body, Head},
    model::api::Format,
};
use sandboxd_egress_plan::Verdict;
use std::{cell::Cell, future::poll_fn, task::Poll, time::Duration};
use tokio::time::Instant;

/// Carries requests that begin with this one. Why the last one went no further, where that is so.
pub(super) async fn carry<S: Stream>(
    way: &Way<'_, S>,
    client: &mut Client<S>,
    head: Head,
    format: Option<Format>,
) -> Result<Option<Refused>, Verdict> {
    let Client { stream, buffer, .. } = client;
    let (counts, left) = (Cell::new(false), Cell::new(None));
    let talk = Talk { way, counts, left, rest: Cell::default() };
    let all = talk.all(stream, buffer, (head, format));
    tokio::pin!(all);
    let verdict = tokio::select! {
        biased;
        ended = &mut all => {
            if matches!(ended, Ok(Some(_))) {
                // Whoever still works on an answer need not.
                cut(way.upstream.stream.tcp());
            }
            return ended;
        }
        () = talk.is_left() => Verdict::Broke,
        verdict = way.meter.over() => verdict,
    };
    if talk.counts.get() {
        // The client sees now that there is no more.
        rustix::net::connect_unspec(stream.tcp()).ok();
        talk.leave();
        // However that ends, what it used is counted.
        all.await.ok();
    }
    Err(verdict)
}

/// The exchanges of a connection.
pub(super) struct Talk<'a, S> {
    pub(super) way: &'a Way<'a, S>,
    /// The answer to what was asked is counted, whoever still wants it.
    counts: Cell<bool>,
    /// Since when the client is gone.
    left: Cell<Option<Instant>>,
    /// How long an answer is read then.
    pub(super) rest: Cell<Duration>,
}

/// How an exchange ended.
pub(super) enum Ended {
    /// Another may follow.
    Kept,
    /// None may.
    Over,
    /// In this way.
    Refused(Refused),
}

impl Ended {
    /// Where nothing can follow.
    pub(super) fn last(self) -> Self {
        if matches!(self, Self::Kept) { Self::Over } else { self }
    }
}

impl<S: Stream> Talk<'_, S> {
    /// All of them. Why the last one went no further, where that is so.
    async fn all(
        &self,
        stream: &S,
        buffer: &mut Vec<u8>,
        (mut head, mut format): (Head, Option<Format>),
    ) -> Result<Option<Refused>, Verdict> {
        let mut inbound = Vec::new();
        loop {
            let last = head.is_last();
            match self.one((stream, buffer), &mut inbound, (head, format)).await? {
                _ if self.left.get().is_some() => return Err(Verdict::Broke),
                Ended::Kept if !last && inbound.is_empty() => {}
                Ended::Kept | Ended::Over => return Ok(None),
                Ended::Refused(refused) => return Ok(Some(refused)),
            }
            let following = tokio::select! {
                biased;
                // It has ended, or says what nobody asked for and is the answer to nothing.
                _ = self.way.upstream.stream.read(&mut inbound) => return Ok(None),
                following = next(stream, buffer) => following,
            };
            head = match following {
                Ok(Some(head)) => head,
                Ok(None) => return Ok(None),
                Err(verdict) => return Ok(Some(Refused::plain(verdict, self.way.place))),
            };
            format = match self.way.judge(&head) {
                Ok(format) => format,
                Err(refused) => return Ok(Some(refused)),
            };
        }
    }

    /// One request and its answer.
    async fn one(
        &self,
        (stream, buffer): (&S, &mut Vec<u8>),
        inbound: &mut Vec<u8>,
        (mut head, format): (Head, Option<Format>),
    ) -> Result<Ended, Verdict> {
        let counted = format.map(|format| Counted::begin(self.way.world, self.way.story, format));
        if counted.is_some() {
            head.ask_plain();
        }
        let method = head.method.clone();
        let up = self.up(stream, buffer, &mut head, counted.as_ref());
        let down = self.down(stream, inbound, &method, counted.as_ref());
        tokio::pin!(up, down);
        let up = tokio::select! {
            // It was answered before all of it was heard, so that nothing can follow.
            down = &mut down => return down.map(Ended::last),
            up = &mut up => up,
        };
        match (up, format) {
            (Ok(()), _) => {
                self.counts.set(counted.is_some());
                let ended = down.await;
                self.counts.set(false);
                ended
            }
            (Err(Verdict::Uncounted), Some(format)) => {
                let why = Verdict::Uncounted.text();
                Ok(Ended::Refused(Refused::of(format, Verdict::Uncounted, why)))
            }
            (Err(verdict), _) => Err(verdict),
        }
    }

    /// Whether the client is gone, or is from now on, where that changes nothing: what it asked for is
    /// worked on all the same.
    pub(super) fn leave(&self) -> bool {
        if self.counts.get() && self.left.get().is_none() {
            self.left.set(Some(Instant::now()));
        }
        self.left.get().is_some()
    }

    /// Waits until the client is gone. Nobody wakes who waits: it is looked at in turn with that which
    /// finds it.
    pub(super) async fn is_left(&self) {
        poll_fn(|_| if self.left.get().is_some() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Waits until the client has been gone for so long that nothing more is read for it.
    pub(super) async fn enough(&self) {
        self.is_left().await;
        if let Some(left) = self.left.get() {
            tokio::time::sleep_until(left + self.rest.get()).await;
        }
    }

    /// The request, with its body. Where the upstream takes no more of it, it may answer why.
    async fn up(
        &self,
        stream: &S,
        buffer: &mut Vec<u8>,
        head: &mut Head,
        counted: Option<&Counted<'_>>,
    ) -> Result<(), Verdict> {
        let last = head.is_last();
        if !self.way.upstream.ask(self.way.meter, head, last).await? {
            return Ok(());
        }
        let mut body = Body::new(head.framing);
        while !body.is_over() {
            let (mut bytes, mut heard) = (Vec::new(), Vec::new());
            let taken = body.take_and_hear(buffer, &mut bytes, &mut heard)?;
            buffer.drain(..taken);
            counted.map_or(Ok(()), |counted| counted.ask(&heard))?;
            if !self.way.upstream.send(self.way.meter, &bytes).await? {
                return Ok(());
            }
            // A body that is cut off is not one for the upstream to take for the whole.
            if !body.is_over() && !stream.read(buffer).await? {
                return Err(Verdict::Broke);
            }
        }
        if let Some(counted) = counted {
            counted.asked();
        }
        Ok(())
    }
}
