//! One stream: what is read of it, and what waits to be written to it.
//!
//! A descriptor that somebody else uses too (the standard input that a user gave) must not be set to
//! non-blocking: that would change it for them. So a blocking one is only touched when epoll(7) says
//! that it is ready, and is written to in pieces that fit: what a pipe that is ready has room for.

use super::waits::End;
use crate::{
    limit::Moment,
    swap::{Piece, Quoted},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll::EventFlags},
    fs::{OFlags, fcntl_getfl},
    io::Errno,
};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

/// How much may wait to be written to somebody, before nothing more is read of what leads there.
const HIGH: usize = 1 << 20;

/// How much is read at once.
pub(super) const READ: usize = 64 << 10;

/// What fits into a pipe that is ready: PIPE_BUF, pipe(7).
const PIECE: usize = 4096;

/// The two descriptors of a stream.
#[derive(Debug)]
pub enum Pair {
    /// One for both, a socket.
    One(OwnedFd),
    /// One to read from and one to write to.
    Two {
        /// To read from.
        input: OwnedFd,
        /// To write to.
        output: OwnedFd,
    },
}

#[derive(Debug)]
pub(super) struct Stream {
    pair: Pair,
    /// Whether the descriptor that is written to never waits.
    eager: bool,
    reads: bool,
    /// Whether it is read on where nobody reads what is written to it: a server may close its standard input and answer.
    reads_on: bool,
    /// Nobody reads what is written to it, and it is read on.
    deaf: bool,
    broken: bool,
    /// Until when what waits may still be written, where it is to be closed.
    closing: Option<Moment>,
    unsent: Vec<u8>,
    /// A secret, which is written from where it lies; then `unsent` is empty.
    secret: Option<Quoted>,
    /// How much of `unsent`, or of the secret, is written.
    sent: usize,
    /// What comes after that: nothing, where no secret is among it.
    later: VecDeque<Piece>,
    /// What is waited for, at each end.
    asked: [Option<EventFlags>; 2],
}

pub(super) enum Read {
    /// So many.
    Bytes(usize),
    Nothing,
    End,
}

impl Stream {
    pub(super) fn new(pair: Pair) -> io::Result<Self> {
        let mut stream = Self {
            pair,
            eager: false,
            reads: true,
            reads_on: false,
            deaf: false,
            broken: false,
            closing: None,
            unsent: Vec::new(),
            secret: None,
            sent: 0,
            later: VecDeque::new(),
            asked: [None; 2],
        };
        stream.eager = fcntl_getfl(stream.output())?.contains(OFlags::NONBLOCK);
        Ok(stream)
    }

    /// The same, which is read on where nobody reads what is written to it.
    pub(super) fn reading_on(mut self) -> Self {
        self.reads_on = !self.is_one();
        self
    }

    /// Nobody reads what is written any more; whether it is read on.
    pub(super) fn unread(&mut self) -> bool {
        let reads_on = self.reads_on && self.reads();
        self.give_up();
        (self.deaf, self.broken) = (reads_on, !reads_on);
        reads_on
    }

    pub(super) fn input(&self) -> BorrowedFd<'_> {
        match &self.pair {
            Pair::One(both) => both.as_fd(),
            Pair::Two { input, .. } => input.as_fd(),
        }
    }

    pub(super) fn output(&self) -> BorrowedFd<'_> {
        match &self.pair {
            Pair::One(both) => both.as_fd(),
            Pair::Two { output, .. } => output.as_fd(),
        }
    }

    /// What is waited for at one end.
    pub(super) const fn asked(&mut self, end: End) -> &mut Option<EventFlags> {
        let [input, output] = &mut self.asked;
        match end {
            End::Input => input,
            End::Output => output,
        }
    }

    /// What is to be waited for at each end; of one that is held up not that it can be read.
    pub(super) fn wants(&self, held_up: bool) -> [Option<EventFlags>; 2] {
        let reads = self.reads() && !held_up;
        // Also where nothing is to be read or written: that it closed is told without being asked for.
        let writes = if self.unsent() > 0 { EventFlags::OUT } else { EventFlags::empty() };
        match self.is_one() {
            true if reads => [None, Some(EventFlags::IN | writes)],
            true => [None, Some(writes)],
            false => [reads.then_some(EventFlags::IN), (!self.deaf).then_some(writes)],
        }
    }

    pub(super) const fn is_one(&self) -> bool {
        matches!(self.pair, Pair::One(_))
    }

    pub(super) const fn reads(&self) -> bool {
        self.reads && self.closing.is_none()
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn is_done(&self) -> bool {
        self.broken || (self.closing.is_some() && self.unsent() == 0)
    }

    pub(super) fn unsent(&self) -> usize {
        let later = self.later.iter().map(|piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Secret(secret) => secret.bytes().len(),
        });
        self.now().len() - self.sent + later.sum::<usize>()
    }

    /// What is being written.
    fn now(&self) -> &[u8] {
        self.secret.as_ref().map_or(self.unsent.as_slice(), Quoted::bytes)
    }

    /// Whether so much waits that nothing more is to be read of what leads here; less of it, where memory is short.
    pub(super) fn is_full(&self, short: bool) -> bool {
        self.unsent() > if short { READ } else { HIGH }
    }

    /// Once what waits is written, or then, it is closed; nothing more is read.
    pub(super) fn close(&mut self, until: Moment) {
        self.closing = self.closing.or(Some(until));
    }

    pub(super) const fn closing(&self) -> Option<Moment> {
        self.closing
    }

    /// What waits is thrown away: nobody reads it.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
        self.unsent = Vec::new();
        self.secret = None;
        self.later = VecDeque::new();
        self.sent = 0;
    }

    /// Reads what is there. Only when epoll(7) said that something is.
    pub(super) fn read(&mut self, to: &mut [u8]) -> Read {
        match rustix::io::read(self.input(), to) {
            Ok(0) => {
                self.reads = false;
                Read::End
            }
            Ok(count) => Read::Bytes(count),
            Err(Errno::INTR | Errno::AGAIN) => Read::Nothing,
            Err(_) => {
                self.reads = false;
                Read::End
            }
        }
    }

    /// Reads what is there, without waiting.
    pub(super) fn read_if_there(&mut self, to: &mut [u8]) -> Read {
        let mut fds = [PollFd::from_borrowed_fd(self.input(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let there = rustix::event::poll(&mut fds, Some(&now));
        if there == Ok(1) { self.read(to) } else { Read::Nothing }
    }

    /// Leaves a line to be written.
    pub(super) fn write(&mut self, line: Vec<u8>) {
        if self.broken || self.deaf {
            return;
        }
        match self.later.back_mut() {
            Some(Piece::Text(last)) => last.extend_from_slice(&line),
            Some(Piece::Secret(_)) => self.later.push_back(Piece::Text(line)),
            None if self.secret.is_some() => self.later.push_back(Piece::Text(line)),
            None if self.unsent.is_empty() => self.unsent = line,
            None => self.unsent.extend_from_slice(&line),
        }
    }

    /// The same, of a line with secrets in it.
    pub(super) fn write_pieces(&mut self, line: Vec<Piece>) {
        if !self.broken && !self.deaf {
            self.later.extend(line);
        }
    }

    /// Writes what waits, where nobody has to say first that there is room.
    pub(super) fn go_on(&mut self) {
        if self.eager {
            self.flush();
        }
    }

    /// Writes what waits, as far as it goes without waiting.
    pub(super) fn flush(&mut self) {
        loop {
            let waits = self.now().get(self.sent..).unwrap_or_default();
            if waits.is_empty() {
                if self.next() {
                    continue;
                }
                break;
            }
            let piece = if self.eager { waits } else { waits.get(..PIECE).unwrap_or(waits) };
            match rustix::io::write(self.output(), piece) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.unread();
                    return;
                }
            }
            if !self.eager {
                break;
            }
        }
        if self.secret.is_some() {
            return;
        }
        if self.sent == self.unsent.len() {
            // One that has nothing to say holds no memory for it.
            self.unsent = Vec::new();
            self.sent = 0;
        } else if self.sent > READ {
            self.unsent.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Goes on with what comes next, where anything does.
    fn next(&mut self) -> bool {
        (self.secret, self.sent) = (None, 0);
        self.unsent.clear();
        match self.later.pop_front() {
            Some(Piece::Text(text)) => self.unsent = text,
            Some(Piece::Secret(secret)) => self.secret = Some(secret),
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{secret::Secrets, swap::Keyring};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use sandboxd_broker_plan::Name;
    use std::{io::Read as _, os::unix::net::UnixStream};

    #[test]
    fn a_server_that_closes_its_input_is_read_on_and_nobody_else_is() {
        for reads_on in [true, false] {
            let ((input, theirs), (read, output)) =
                (rustix::pipe::pipe().unwrap(), rustix::pipe::pipe().unwrap());
            let stream = Stream::new(Pair::Two { input, output }).unwrap();
            let mut stream = if reads_on { stream.reading_on() } else { stream };
            drop(read);
            stream.write(b"a call".to_vec());
            stream.flush();
            assert_eq!((stream.is_broken(), stream.unsent()), (!reads_on, 0));
            let [reads, writes] = stream.wants(false);
            assert_eq!((reads.is_some(), writes.is_some()), (true, !reads_on));
            rustix::io::write(&theirs, b"an answer").unwrap();
            assert!(matches!(stream.read(&mut [0; 64]), Read::Bytes(9)));
        }
    }

    #[test]
    fn what_is_written_stays_in_order_around_secrets_whoever_waits_for_room() {
        let mut secrets = Secrets::default();
        secrets.push(&[b's'; 8000]).unwrap();
        let keys = Keyring::of(&[Name::try_from("s").unwrap()], &secrets, None).unwrap();
        for flags in [SocketFlags::NONBLOCK, SocketFlags::empty()] {
            let (ours, theirs) =
                socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            rustix::io::ioctl_fionbio(&theirs, true).unwrap();
            let (mut stream, mut theirs) =
                (Stream::new(Pair::One(ours)).unwrap(), UnixStream::from(theirs));
            let (mut expected, mut heard) = (Vec::new(), Vec::new());
            for round in 0..60 {
                let plain = format!("plain {round}\n").repeat(300);
                stream.write(plain.clone().into_bytes());
                stream.write_pieces(keys.pieces("<{{secret:s}}{{secret:s}}>").unwrap());
                stream.write(b"after\n".to_vec());
                stream.go_on();
                expected.extend_from_slice(plain.as_bytes());
                expected.push(b'<');
                expected.extend([b's'; 16_000]);
                expected.extend_from_slice(b">after\n");
            }
            assert!(stream.unsent() > 0 && !stream.is_done());
            let mut piece = [0; 5000];
            while heard.len() < expected.len() {
                assert_eq!(stream.unsent() > 0, heard.len() + waiting(&theirs) < expected.len());
                if waiting(&theirs) == 0 {
                    stream.flush();
                }
                let count = theirs.read(&mut piece).unwrap();
                heard.extend_from_slice(&piece[..count]);
            }
            stream.close(Moment(1));
            assert!(heard == expected && stream.is_done());
        }
    }

    fn waiting(stream: &UnixStream) -> usize {
        usize::try_from(rustix::io::ioctl_fionread(stream).unwrap()).unwrap()
    }
}
