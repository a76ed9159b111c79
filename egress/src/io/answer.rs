//! An answer that is looked at: its head, and what is in its body as it comes, which is counted, has
//! secrets covered, and is framed anew.

use super::{
    content::{Content, Until},
    counted::{Counted, Goes},
    exchange::{Ended, Talk},
    fault::Refused,
    stream::Stream,
};
use crate::{
    Read,
    http::{self, Ends, Framing, Reply},
    limit::Direction,
};
use sandboxd_egress_plan::Verdict;
use std::time::Duration;
use tokio::time::timeout;

/// How long what a secret may begin in waits for what follows: longer than any host pauses by itself within a line,
/// and no longer than whoever watches for what comes without lines can wait.
const REST: Duration = Duration::from_secs(5);

/// How long an answer is read whose client is gone, so that it is heard what it used: in whole it is
/// made, and paid for, whoever still wants it.
pub(super) const IN_WHOLE: Duration = Duration::from_secs(600);

/// A stream ends where nobody listens, and its client may want just that. What it used comes right after
/// its end, for which some clients do not wait.
const IN_EVENTS: Duration = Duration::from_secs(5);

/// What an answer is given to.
struct Outlet<'t, S> {
    to: &'t S,
    /// It is framed in chunks, as it came.
    chunked: bool,
}

/// What comes next.
enum More {
    /// Something.
    Here,
    /// Nothing, for a while.
    Late,
    /// Nothing any more.
    Over,
}

impl<S: Stream> Talk<'_, S> {
    /// The answer, with its body.
    pub(super) async fn down(
        &self,
        to: &S,
        inbound: &mut Vec<u8>,
        method: &str,
        counted: Option<&Counted<'_>>,
    ) -> Result<Ended, Verdict> {
        self.rest.set(IN_WHOLE);
        let (reply, stream) = loop {
            match http::reply(inbound, method)? {
                Read::Done(reply, length) => {
                    if let Err(verdict) = self.way.upstream.may_answer(&reply) {
                        return Ok(Ended::Refused(Refused::plain(verdict, self.way.place)));
                    }
                    let mut head: Vec<u8> = inbound.drain(..length).collect();
                    let last = !reply.is_interim();
                    let stream = last && counted.is_some_and(|counted| counted.answered(&reply));
                    if let Some(mask) = self.way.upstream.mask() {
                        mask.cover(&mut head);
                    }
                    self.give(to, &head).await?;
                    if last {
                        break (reply, stream);
                    }
                }
                Read::More => match self.more(inbound, false).await? {
                    More::Here | More::Late => {}
                    More::Over => return Err(Verdict::Broke),
                },
            }
        };
        let outlet = Outlet { to, chunked: reply.ends == Ends::With(Framing::Chunked) };
        let ended = match counted {
            Some(counted) if stream => {
                self.rest.set(IN_EVENTS);
                let mut held = Vec::new();
                let events = |heard: Vec<u8>, whole| counted.events(&mut held, &heard, whole);
                self.body(&outlet, inbound, &reply, events).await?
            }
            // It goes to its end whatever it uses: it has been paid for.
            _ => {
                let all = |heard: Vec<u8>, _| {
                    counted.and_then(|counted| counted.hear(&heard));
                    Goes::On(heard)
                };
                self.body(&outlet, inbound, &reply, all).await?
            }
        };
        Ok(if reply.close { ended.last() } else { ended })
    }

    /// The body, of which goes on what `each` makes of what is there and of whether that is all.
    async fn body(
        &self,
        outlet: &Outlet<'_, S>,
        inbound: &mut Vec<u8>,
        reply: &Reply,
        mut each: impl FnMut(Vec<u8>, bool) -> Goes,
    ) -> Result<Ended, Verdict> {
        let mut content = Content::new(reply.body());
        let mut more = More::Here;
        loop {
            let over = matches!(more, More::Over);
            let until = match more {
                More::Here => Until::Settled,
                More::Late => Until::Late,
                More::Over => Until::End,
            };
            let mask = self.way.upstream.mask();
            let heard = content.take(inbound, until, mask.as_deref())?;
            let whole = over || content.is_over();
            match each(heard, whole) {
                Goes::On(bytes) => self.part(outlet, &bytes, whole).await?,
                Goes::Stopped(bytes) => {
                    self.part(outlet, &bytes, true).await?;
                    let words = Vec::new();
                    return Ok(Ended::Refused(Refused { verdict: Verdict::Budget, words }));
                }
            }
            if whole {
                return Ok(if over { Ended::Over } else { Ended::Kept });
            }
            more = self.more(inbound, content.waits()).await?;
            if matches!(more, More::Over) && reply.ends != Ends::AtClose {
                // What waited is all that there is, and its client sees that it is not the end.
                let mask = self.way.upstream.mask();
                let heard = content.take(inbound, Until::End, mask.as_deref())?;
                let (Goes::On(bytes) | Goes::Stopped(bytes)) = each(heard, false);
                self.part(outlet, &bytes, false).await?;
                return Err(Verdict::Broke);
            }
        }
    }

    /// Reads more, where some of an answer waits for that only for a while; and where its client is gone,
    /// for as long as it is heard all the same.
    async fn more(&self, inbound: &mut Vec<u8>, waits: bool) -> Result<More, Verdict> {
        let read = self.way.upstream.stream.read(inbound);
        let read = async {
            if waits { timeout(REST, read).await.ok().transpose() } else { read.await.map(Some) }
        };
        let read = tokio::select! {
            biased;
            () = self.enough() => return Err(Verdict::Broke),
            read = read => read?,
        };
        Ok(match read {
            Some(true) => More::Here,
            None => More::Late,
            Some(false) => More::Over,
        })
    }

    /// Gives part of a body, framed as the answer is, and its end where it is the last.
    async fn part(
        &self,
        outlet: &Outlet<'_, S>,
        content: &[u8],
        last: bool,
    ) -> Result<(), Verdict> {
        let mut bytes = Vec::new();
        if outlet.chunked && !content.is_empty() {
            bytes.extend(format!("{:x}\r\n", content.len()).into_bytes());
        }
        bytes.extend_from_slice(content);
        if outlet.chunked && !content.is_empty() {
            bytes.extend_from_slice(b"\r\n");
        }
        if outlet.chunked && last {
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        self.give(outlet.to, &bytes).await
    }

    /// Gives to the client, where it is still there.
    async fn give(&self, to: &S, bytes: &[u8]) -> Result<(), Verdict> {
        self.way.meter.spend(Direction::Down, bytes.len())?;
        let given = tokio::select! {
            biased;
            () = self.is_left() => Ok(()),
            given = to.write(bytes) => given,
        };
        given.or_else(|verdict| if self.leave() { Ok(()) } else { Err(verdict) })
    }
}
