//! A connection of a program in the sandbox, and what it wrote that is not understood yet.

use crate::{
    Read,
    hello::{self, Hello},
    http::{self, Head},
    rule::Fitting,
};
use sandboxd_egress_plan::{Millis, Verdict};
use std::time::Duration;
use tokio::{
    net::TcpStream,
    task::coop::consume_budget,
    time::{Instant, timeout, timeout_at},
};

/// How long a client that was answered may take to read that.
const FAREWELL: Duration = Duration::from_secs(2);

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
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

/// Reads what is there; false where there will be no more.
pub(super) async fn read(stream: &TcpStream, to: &mut Vec<u8>) -> Result<bool, Verdict> {
    loop {
        // However fast this one is, it is somebody else's turn now and then.
        consume_budget().await;
        stream.readable().await.map_err(|_| Verdict::Broke)?;
        // Here and not before, so that whoever waits holds no room for it.
        let mut bytes = [0; 16 << 10];
        match stream.try_read(&mut bytes) {
            Ok(count) => {
                to.extend_from_slice(bytes.get(..count).unwrap_or_default());
                return Ok(count > 0);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(Verdict::Broke),
        }
    }
}

/// Writes all of it.
pub(super) async fn write(stream: &TcpStream, mut bytes: &[u8]) -> Result<(), Verdict> {
    while !bytes.is_empty() {
        consume_budget().await;
        stream.writable().await.map_err(|_| Verdict::Broke)?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return Err(Verdict::Broke),
        }
    }
    Ok(())
}

/// The moment after which a client is too slow: never later than in a day, since whoever takes longer
/// has not begun.
pub(super) fn until(wait: Millis) -> Instant {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    Instant::now() + Duration::from_millis(wait.0.min(DAY))
}

impl Client {
    pub(super) const fn new(stream: TcpStream) -> Self {
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
            match timeout_at(until, read(&self.stream, &mut self.buffer)).await {
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
        timeout(FAREWELL, write(&self.stream, bytes)).await.map_err(|_| Verdict::Slow)?
    }

    /// Lets go of a client that is not carried on: after it had time to read what it was answered, or
    /// at once and so that it sees a failure, where it was answered nothing.
    pub(super) async fn leave(mut self) {
        if self.answered {
            // Bytes that are not read would have the answer thrown away.
            let rest = async {
                rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write).ok();
                loop {
                    self.buffer.clear();
                    if !matches!(read(&self.stream, &mut self.buffer).await, Ok(true)) {
                        break;
                    }
                }
            };
            timeout(FAREWELL, rest).await.ok();
        } else {
            cut(&self.stream);
        }
    }
}

/// Whoever is at the other end sees that the connection failed, and not that it ended.
pub(super) fn cut(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).ok();
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
