//! Requests, in plain text or in TLS that is ended here: each is read, held against the rules and written
//! anew, the answers go back as they are. Where those are looked at, it is an [exchange].

use super::{
    beyond::Beyond,
    client::Client,
    dial::{Upstream, may},
    exchange,
    fault::Refused,
    meter::Meter,
    story::Story,
    stream::{Stream, cut},
    tunnel,
    world::{Open, World},
};
use crate::{
    Read,
    http::{self, Body, Head},
    model::api::{self, Asked, Format},
    rule::{Cover, Fitting, Place},
};
use sandboxd_egress_plan::Verdict;
use std::rc::Rc;

/// What the requests of a connection share.
pub(super) struct Way<'a, S> {
    pub(super) world: &'a World,
    pub(super) story: &'a Story,
    pub(super) meter: &'a Meter<'a>,
    pub(super) fitting: &'a Fitting,
    pub(super) place: &'a Place,
    pub(super) upstream: &'a Beyond<'a, S>,
    open: &'a Open,
}

/// Carries requests that begin with this one; on the connection that was made already, where one was.
pub(super) async fn carry<S: Stream>(
    world: &Rc<World>,
    story: &mut Story,
    client: &mut Client<S>,
    (fitting, head): (&Fitting, Head),
    made: Option<(Open, Upstream)>,
) -> Result<(), Verdict> {
    let place = story.place.clone().ok_or(Verdict::Broke)?;
    let begun = begin(world, story, (fitting, &head, &place), made).await;
    let (open, upstream, format) = match begun {
        Ok(begun) => begun,
        Err(Refused { verdict, words }) => {
            client.answer(&words).await?;
            return Err(verdict);
        }
    };
    let meter = Meter::new(world, story);
    let (meter, upstream) = (&meter, &upstream);
    let way = Way { world, story, meter, fitting, place: &place, upstream, open: &open };
    client.answered = true;
    let rules = &world.plan.rules;
    let one_by_one = fitting.has_model(rules) || fitting.bounds_differ(rules);
    let ended = if one_by_one || upstream.mask().is_some() {
        // Elsewhere, since all connections would have the room for it otherwise.
        Box::pin(exchange::carry(&way, client, head, format)).await
    } else {
        meter.within(way.both(client, head)).await
    };
    match ended {
        Ok(None) => {
            upstream.farewell(client).await;
            Ok(())
        }
        // All that was allowed is answered; this is the answer to what was not.
        Ok(Some(Refused { verdict, words })) => {
            client.answer(&words).await?;
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

/// Whom the first request goes to, where a rule has it.
async fn begin<'w, S: Stream>(
    world: &'w Rc<World>,
    story: &mut Story,
    (fitting, head, place): (&Fitting, &Head, &'w Place),
    made: Option<(Open, Upstream)>,
) -> Result<(Open, Beyond<'w, S>, Option<Format>), Refused> {
    let plain = |verdict| Refused::plain(verdict, place);
    let (rule, format) = judge(world, fitting, head, (place, S::COVER))?;
    let (open, upstream) = tunnel::begin(world, story, rule, made).await.map_err(plain)?;
    let upstream = Beyond::begin(world, place, &upstream).await.map_err(plain)?;
    Ok((open, upstream, format))
}

/// Which rule has a request, and the format of its answer where that is counted.
fn judge(
    world: &World,
    fitting: &Fitting,
    head: &Head,
    (place, cover): (&Place, Cover),
) -> Result<(usize, Option<Format>), Refused> {
    let plain = |verdict| Refused::plain(verdict, place);
    let rule = fitting.request(&world.plan.rules, head, (place, cover)).map_err(plain)?;
    if !world.rule(rule).map_err(plain)?.model {
        return Ok((rule, None));
    }
    let Asked::Call(format) = api::asked(head).map_err(plain)? else { return Ok((rule, None)) };
    match world.purses().over() {
        Some(why) => Err(Refused::of(format, Verdict::Budget, &why)),
        None => Ok((rule, Some(format))),
    }
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
    Refused(Refused),
}

impl<S: Stream> Way<'_, S> {
    /// Requests one way, answers the other, until both are over. Why a request was refused, where one
    /// was.
    async fn both(&self, client: &mut Client<S>, head: Head) -> Result<Option<Refused>, Verdict> {
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
            Ended::Refused(refused) => {
                self.upstream.stream.end(None).await?;
                Some(refused)
            }
        };
        down.await?;
        Ok(refused)
    }

    /// The requests, each with its body.
    async fn up(&self, stream: &S, buffer: &mut Vec<u8>, mut head: Head) -> Result<Ended, Verdict> {
        loop {
            let last = head.is_last();
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
                Err(verdict) => {
                    return Ok(Ended::Refused(Refused::plain(verdict, self.place)));
                }
            };
            if let Err(refused) = self.judge(&head) {
                return Ok(Ended::Refused(refused));
            }
        }
    }

    /// Whether a request that is not the first may go, and how its answer is counted. Its rule may be
    /// another one, and then bears what follows.
    pub(super) fn judge(&self, head: &Head) -> Result<Option<Format>, Refused> {
        let plain = |verdict| Refused::plain(verdict, self.place);
        let (rule, format) = judge(self.world, self.fitting, head, (self.place, S::COVER))?;
        self.pass(rule).map_err(plain)?;
        Ok(format)
    }

    /// Goes on under this rule, where the connection might have been made under it.
    fn pass(&self, rule: usize) -> Result<(), Verdict> {
        let to = self.world.rule(rule)?;
        if rule != self.open.rule() {
            if !may(self.world, to, self.upstream.address) {
                return Err(Verdict::PrivateAddress);
            }
            self.meter.may_last(to.deadlines)?;
        }
        self.open.pass(rule)?;
        self.story.rule.set(Some(rule));
        Ok(())
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
