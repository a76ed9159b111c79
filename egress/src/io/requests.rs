//! Requests, in plain text or in TLS that is ended here: each is read, held against the rules and written
//! anew, the answers go back as they are. Where those are looked at, it is an [exchange].

use super::{
    beyond::Beyond,
    client::Client,
    dial::Upstream,
    exchange,
    fault::refusal,
    meter::Meter,
    story::Story,
    stream::{Stream, cut},
    tunnel,
    world::{Open, World, now},
};
use crate::{
    Read, address,
    http::{self, Body, Head},
    rule::{Fitting, Place},
};
use sandboxd_egress_plan::Verdict;
use std::rc::Rc;

/// Carries requests that begin with this one; on the connection that was made already, where one was.
pub(super) async fn carry<S: Stream>(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client<S>,
    (fitting, head): (&Fitting, Head),
    made: Option<(Open, Upstream)>,
) -> Result<(), Verdict> {
    let place = story.place.clone().ok_or(Verdict::Broke)?;
    if fitting.has_model(&world.plan.rules) || world.mask(&place).is_some() {
        let exchange = exchange::carry(world, story, client, (fitting, head), made);
        return Box::pin(exchange).await;
    }
    let begun = match fitting.request(&world.plan.rules, &head, (&place, S::COVER)) {
        Ok(rule) => tunnel::begin(world, story, rule, made).await,
        Err(verdict) => Err(verdict),
    };
    let begun = match begun {
        Ok((open, upstream)) => {
            Beyond::<S>::begin(world, &place, &upstream).await.map(|beyond| (open, beyond))
        }
        Err(verdict) => Err(verdict),
    };
    let (open, upstream) = match begun {
        Ok(begun) => begun,
        Err(verdict) => {
            client.answer(&refusal(verdict, Some(&place))).await?;
            return Err(verdict);
        }
    };
    let meter = Meter::new(world, story, world.rule(open.rule)?.deadlines);
    let way = Way { world, story, meter: &meter, fitting, place: &place, upstream: &upstream };
    let ended = meter.within(way.both(client, head)).await;
    match ended {
        Ok(None) => {
            upstream.farewell(client).await;
            Ok(())
        }
        // All that was allowed is answered; this is the answer to the one that was not.
        Ok(Some(verdict)) => {
            client.answer(&refusal(verdict, Some(&place))).await?;
            Err(verdict)
        }
        Err(verdict) => {
            // Neither may take what it has for the whole.
            cut(upstream.stream.tcp());
            client.answered = false;
            Err(verdict)
        }
    }
}

/// What the requests of a connection share.
struct Way<'a, S> {
    world: &'a World,
    story: &'a Story,
    meter: &'a Meter<'a>,
    fitting: &'a Fitting,
    place: &'a Place,
    upstream: &'a Beyond<'a, S>,
}

/// How the requests of a connection ended.
enum Ended {
    /// With one after which no other comes.
    Last,
    /// With the client.
    Client,
    /// With the upstream, which takes no more and may have answered why.
    Upstream,
    /// With one that was refused.
    Refused(Verdict),
}

impl<S: Stream> Way<'_, S> {
    /// Requests one way, answers the other, until both are over. Why a request was refused, where one
    /// was.
    async fn both(&self, client: &mut Client<S>, head: Head) -> Result<Option<Verdict>, Verdict> {
        client.answered = true;
        let (stream, buffer) = (&client.stream, &mut client.buffer);
        let down = self.upstream.stream.back(stream, self.meter);
        let up = self.up(stream, buffer, head);
        tokio::pin!(down, up);
        let ended = tokio::select! {
            // The upstream has ended: whatever else the client says has nobody to go to.
            down = &mut down => return down.map(|()| None),
            up = &mut up => up?,
        };
        let refused = match ended {
            Ended::Last | Ended::Upstream => None,
            Ended::Client => {
                self.upstream.stream.end(None).await?;
                None
            }
            Ended::Refused(verdict) => {
                self.upstream.stream.end(None).await?;
                Some(verdict)
            }
        };
        down.await?;
        Ok(refused)
    }

    /// The requests, each with its body.
    async fn up(&self, stream: &S, buffer: &mut Vec<u8>, mut head: Head) -> Result<Ended, Verdict> {
        loop {
            // One connection of the proxy may ask for many hosts; each gets one of its own.
            let last = head.close || head.absolute;
            if !self.upstream.ask(self.meter, &mut head, last).await?
                || !self.body(stream, buffer, Body::new(head.framing)).await?
            {
                return Ok(Ended::Upstream);
            }
            if last {
                return Ok(Ended::Last);
            }
            head = match next(stream, buffer).await {
                Ok(Some(head)) => head,
                Ok(None) => return Ok(Ended::Client),
                Err(verdict) => return Ok(Ended::Refused(verdict)),
            };
            match self.judge(&head) {
                Ok(rule) => self.story.rule.set(Some(rule)),
                Err(verdict) => return Ok(Ended::Refused(verdict)),
            }
        }
    }

    /// The rule of a request that is not the first. It may be another one, and then bears what follows.
    fn judge(&self, head: &Head) -> Result<usize, Verdict> {
        let rule = self.fitting.request(&self.world.plan.rules, head, (self.place, S::COVER))?;
        if !address::allows(self.world.rule(rule)?, self.upstream.address) {
            return Err(Verdict::PrivateAddress);
        }
        self.world.ledger().request(rule, now()?)?;
        Ok(rule)
    }

    /// The body, to its end; false where the upstream takes no more of it.
    async fn body(
        &self,
        stream: &S,
        buffer: &mut Vec<u8>,
        mut body: Body,
    ) -> Result<bool, Verdict> {
        loop {
            let mut bytes = Vec::new();
            let taken = body.take(buffer, &mut bytes)?;
            buffer.drain(..taken);
            if !self.upstream.send(self.meter, &bytes).await? {
                return Ok(false);
            }
            if body.is_over() {
                return Ok(true);
            }
            // A body that is cut off is not one for the upstream to take for the whole.
            if !stream.read(buffer).await? {
                return Err(Verdict::Broke);
            }
        }
    }
}

/// The next head; nothing where the client says no more.
pub(super) async fn next<S: Stream>(
    stream: &S,
    buffer: &mut Vec<u8>,
) -> Result<Option<Head>, Verdict> {
    loop {
        if let Read::Done(head, length) = http::head(buffer)? {
            buffer.drain(..length);
            return Ok(Some(head));
        }
        if !stream.read(buffer).await? {
            return if buffer.is_empty() { Ok(None) } else { Err(Verdict::Malformed) };
        }
    }
}
