//! A connection of a program in the sandbox, and what it wrote that is not understood yet.

use super::stream::{Stream, Tcp, cut};
use crate::{
    Read,
    hello::{self, Hello},
    http::{self, Head},
    rule::Fitting,
};
use sandboxd_egress_plan::{Millis, Verdict};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a client that was answered may take to read that.
const FAREWELL: Duration = Duration::from_secs(2);

/// A client.
#[derive(Debug)]
pub(super) struct Client<S = Tcp> {
    pub(super) stream: S,
    /// What was read and not yet taken.
    pub(super) buffer: Vec<u8>,
    /// Whether it was answered in its own words, and so is not cut off.
    pub(super) answered: bool,
}

/// How a client begins.
#[derive(Debug)]
pub(super) enum Begins {
    /// With TLS. What it wrote stays in the buffer.
    Tls(Hello),
    /// With a request. Its head is taken.
    Request(Head),
}

/// The moment after which a client is too slow: never later than in a day, since whoever takes longer
/// has not begun.
pub(super) fn until(wait: Millis) -> Instant {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    Instant::now() + Duration::from_millis(wait.0.min(DAY))
}

impl<S: Stream> Client<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), answered: false }
    }

    /// What a reader finds at the beginning, read until it finds it. It stays in the buffer; how long it
    /// is comes with it.
    pub(super) async fn find<T, E: From<Unheard>>(
        &mut self,
        until: Instant,
        reader: impl Fn(&[u8]) -> Result<Read<T>, E>,
    ) -> Result<(T, usize), E> {
        loop {
            if let Read::Done(found, length) = reader(&self.buffer)? {
                return Ok((found, length));
            }
            match timeout_at(until, self.stream.read(&mut self.buffer)).await {
                Err(_) => return Err(Unheard(Verdict::Slow).into()),
                Ok(Err(verdict)) => return Err(Unheard(verdict).into()),
                Ok(Ok(false)) => return Err(Unheard(Verdict::Broke).into()),
                Ok(Ok(true)) => {}
            }
        }
    }

    /// Takes so many bytes, which were understood.
    pub(super) fn take(&mut self, length: usize) {
        self.buffer.drain(..length.min(self.buffer.len()));
    }

    /// How it begins, where only some beginnings fit.
    pub(super) async fn begins(
        &mut self,
        until: Instant,
        fitting: &Fitting,
    ) -> Result<Begins, Verdict> {
        let (begins, length) = self.find(until, |bytes| beginning(bytes, fitting)).await?;
        if matches!(begins, Begins::Request(_)) {
            self.take(length);
        }
        Ok(begins)
    }

    /// Answers in the client's own words.
    pub(super) async fn answer(&mut self, bytes: &[u8]) -> Result<(), Verdict> {
        self.answered = true;
        timeout(FAREWELL, self.stream.write(bytes)).await.map_err(|_| Verdict::Slow)?
    }

    /// Lets go of a client that is not carried on: after it had time to read what it was answered, or
    /// at once and so that it sees a failure, where it was answered nothing.
    pub(super) async fn leave(mut self) {
        if self.answered {
            // Bytes that are not read would have the answer thrown away.
            let rest = async {
                rustix::net::shutdown(self.stream.tcp(), rustix::net::Shutdown::Write).ok();
                loop {
                    self.buffer.clear();
                    if !matches!(self.stream.read(&mut self.buffer).await, Ok(true)) {
                        break;
                    }
                }
            };
            timeout(FAREWELL, rest).await.ok();
        } else {
            cut(self.stream.tcp());
        }
    }
}

/// Nothing that could be understood came.
#[derive(Debug)]
pub(super) struct Unheard(pub(super) Verdict);

impl From<Unheard> for Verdict {
    fn from(unheard: Unheard) -> Self {
        unheard.0
    }
}

fn beginning(bytes: &[u8], fitting: &Fitting) -> Result<Read<Begins>, Verdict> {
    if bytes.is_empty() {
        return Ok(Read::More);
    }
    if hello::begins(bytes) && fitting.has_tls() {
        return Ok(match hello::hello(bytes)? {
            Read::More => Read::More,
            Read::Done(hello, length) => Read::Done(Begins::Tls(hello), length),
        });
    }
    if fitting.http.is_empty() {
        return Err(Verdict::NotTls);
    }
    Ok(match http::head(bytes)? {
        Read::More => Read::More,
        Read::Done(head, length) => Read::Done(Begins::Request(head), length),
    })
}
