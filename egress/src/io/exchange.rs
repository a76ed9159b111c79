//! Requests whose answers are looked at, since some are asked of a model API or have a secret put in: one
//! after the other, each with its answer, which is read as it passes by.

use super::{
    client::Client,
    counted::Counted,
    fault::Refused,
    requests::{Way, next},
    stream::{Stream, cut},
};
use crate::{
    Read,
    http::{self, Body, Ends, Framing, Head, Reply},
    limit::Direction,
    model::api::Format,
};
use sandboxd_egress_plan::Verdict;

/// The most bytes of an event that wait for its end.
const EVENT: usize = 256 << 10;

/// Carries requests that begin with this one. Why the last one went no further, where that is so.
pub(super) async fn carry<S: Stream>(
    way: &Way<'_, S>,
    client: &mut Client<S>,
    head: Head,
    format: Option<Format>,
) -> Result<Option<Refused>, Verdict> {
    let talk = Talk { way };
    let ended = way.meter.within(talk.all(client, head, format)).await?;
    if ended.is_some() {
        // Whoever still works on an answer need not.
        cut(way.upstream.stream.tcp());
    }
    Ok(ended)
}

/// The exchanges of a connection.
struct Talk<'a, S> {
    way: &'a Way<'a, S>,
}

/// How an exchange ended.
enum Ended {
    /// Another may follow.
    Kept,
    /// None may.
    Over,
    /// In this way.
    Refused(Refused),
}

impl Ended {
    /// Where nothing can follow.
    fn last(self) -> Self {
        if matches!(self, Self::Kept) { Self::Over } else { self }
    }
}

impl<S: Stream> Talk<'_, S> {
    /// All of them. Why the last one went no further, where that is so.
    async fn all(
        &self,
        client: &mut Client<S>,
        mut head: Head,
        mut format: Option<Format>,
    ) -> Result<Option<Refused>, Verdict> {
        let mut inbound = Vec::new();
        loop {
            // One connection of the proxy may ask for many hosts; each gets one of its own.
            let last = head.close || head.absolute;
            match self.one(client, &mut inbound, (head, format)).await? {
                Ended::Kept if !last && inbound.is_empty() => {}
                Ended::Kept | Ended::Over => return Ok(None),
                Ended::Refused(refused) => return Ok(Some(refused)),
            }
            let (stream, buffer) = (&client.stream, &mut client.buffer);
            let following = tokio::select! {
                biased;
                // It has ended, or says what nobody asked for and is the answer to nothing.
                _ = self.way.upstream.read(&mut inbound) => return Ok(None),
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
        client: &mut Client<S>,
        inbound: &mut Vec<u8>,
        (mut head, format): (Head, Option<Format>),
    ) -> Result<Ended, Verdict> {
        let counted = format.map(|format| Counted::begin(self.way.world, self.way.story, format));
        if counted.is_some() {
            head.ask_plain();
        }
        let method = head.method.clone();
        let (stream, buffer) = (&client.stream, &mut client.buffer);
        let up = self.up(stream, buffer, &mut head, counted.as_ref());
        let down = self.down(stream, inbound, &method, counted.as_ref());
        tokio::pin!(up, down);
        let up = tokio::select! {
            // It was answered before all of it was heard, so that nothing can follow.
            down = &mut down => return down.map(Ended::last),
            up = &mut up => up,
        };
        match (up, format) {
            (Ok(()), _) => down.await,
            (Err(Verdict::Uncounted), Some(format)) => {
                let why = Verdict::Uncounted.text();
                Ok(Ended::Refused(Refused::of(format, Verdict::Uncounted, why)))
            }
            (Err(verdict), _) => Err(verdict),
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
        let last = head.close || head.absolute;
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

    /// The answer, with its body.
    async fn down(
        &self,
        to: &S,
        inbound: &mut Vec<u8>,
        method: &str,
        counted: Option<&Counted<'_>>,
    ) -> Result<Ended, Verdict> {
        let reply = loop {
            match http::reply(inbound, method)? {
                Read::Done(reply, _) if !self.way.upstream.may_answer(&reply) => {
                    let refused = Refused::plain(Verdict::Encoded, self.way.place);
                    return Ok(Ended::Refused(refused));
                }
                Read::Done(reply, length) => {
                    let head: Vec<u8> = inbound.drain(..length).collect();
                    self.give(to, &head).await?;
                    if !reply.is_interim() {
                        break reply;
                    }
                }
                Read::More if self.way.upstream.read(inbound).await? => {}
                Read::More => return Err(Verdict::Broke),
            }
        };
        let ended = match counted {
            Some(counted) if counted.answered(&reply) => {
                self.events(to, inbound, &reply, counted).await?
            }
            _ => self.rest(to, inbound, &reply, counted).await?,
        };
        Ok(if reply.close { ended.last() } else { ended })
    }

    /// A body that goes to its end whatever it uses: it has been paid for.
    async fn rest(
        &self,
        to: &S,
        inbound: &mut Vec<u8>,
        reply: &Reply,
        counted: Option<&Counted<'_>>,
    ) -> Result<Ended, Verdict> {
        let mut body = reply.body();
        while !body.is_over() {
            let (mut bytes, mut heard) = (Vec::new(), Vec::new());
            let taken = body.take_and_hear(inbound, &mut bytes, &mut heard);
            inbound.drain(..taken.map_err(|_| Verdict::Reply)?);
            counted.and_then(|counted| counted.hear(&heard));
            self.give(to, &bytes).await?;
            if !body.is_over() && !self.way.upstream.read(inbound).await? {
                return if reply.ends == Ends::AtClose {
                    Ok(Ended::Over)
                } else {
                    Err(Verdict::Broke)
                };
            }
        }
        Ok(Ended::Kept)
    }

    /// A stream of events, which ends where there is no more: after a whole event, with one of ours.
    async fn events(
        &self,
        to: &S,
        inbound: &mut Vec<u8>,
        reply: &Reply,
        counted: &Counted<'_>,
    ) -> Result<Ended, Verdict> {
        let (mut body, mut held) = (reply.body(), Vec::new());
        let chunked = reply.ends == Ends::With(Framing::Chunked);
        loop {
            let mut heard = Vec::new();
            let taken = body.take_and_hear(inbound, &mut Vec::new(), &mut heard);
            inbound.drain(..taken.map_err(|_| Verdict::Reply)?);
            let whole = body.is_over();
            let mut last = 0;
            for line in heard.split_inclusive(|byte| *byte == b'\n') {
                let before = held.len();
                held.extend_from_slice(line);
                let Some(at) = counted.hear(line) else { continue };
                last = before + at;
                if let (Some(why), false) = (counted.over(), whole) {
                    held.truncate(last);
                    held.extend(counted.format.event(&format!("sandboxd: {why}")));
                    self.give_events(to, &held, chunked, true).await?;
                    let words = Vec::new();
                    return Ok(Ended::Refused(Refused { verdict: Verdict::Budget, words }));
                }
            }
            // One that is longer goes on before it is whole, and is none that can be the last.
            let ready = if whole || held.len() > EVENT { held.len() } else { last };
            let ready: Vec<u8> = held.drain(..ready).collect();
            self.give_events(to, &ready, chunked, whole).await?;
            if whole {
                return Ok(Ended::Kept);
            }
            if !self.way.upstream.read(inbound).await? {
                if reply.ends != Ends::AtClose {
                    return Err(Verdict::Broke);
                }
                self.give_events(to, &held, chunked, true).await?;
                return Ok(Ended::Over);
            }
        }
    }

    /// Gives events, framed as the answer is, and its end where these are the last.
    async fn give_events(
        &self,
        to: &S,
        events: &[u8],
        chunked: bool,
        last: bool,
    ) -> Result<(), Verdict> {
        let mut bytes = Vec::new();
        if chunked && !events.is_empty() {
            bytes.extend(format!("{:x}\r\n", events.len()).into_bytes());
        }
        bytes.extend_from_slice(events);
        if chunked && !events.is_empty() {
            bytes.extend_from_slice(b"\r\n");
        }
        if chunked && last {
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        self.give(to, &bytes).await
    }

    /// Gives to the client.
    async fn give(&self, to: &S, bytes: &[u8]) -> Result<(), Verdict> {
        self.way.meter.spend(Direction::Down, bytes.len())?;
        to.write(bytes).await
    }
}
