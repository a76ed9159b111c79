//! Moves bytes between streams and a [`Relay`]. One thread, one epoll(7), no stream without a bound.
//!
//! Whoever owns the broker (the supervisor, behind its channel) is an [`Owner`]: it gives streams, is
//! told what is wanted, and its end is the broker's end. Here nothing is decided.
//!
//! A turn reads each stream that is ready, and then writes: first what happened is told, for all of them together,
//! and then each line goes on, those for one reader together.

mod approver;
mod held;
mod keys;
mod lines;
mod owner;
mod stream;
mod turn;
mod waits;

use crate::{
    approve::Approvals,
    limit::Moment,
    relay::{ConnectionId, Endpoint, Input, InstanceId, Output, Relay},
};
use keys::Keys;
use rustix::{
    event::{Timespec, epoll::EventFlags},
    time::{ClockId, clock_gettime},
};
use sandboxd_broker_plan::{Millis, record::Record};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};
use stream::{READ, Read, Stream};
use waits::{End, Waits, Woken};

pub use owner::{Owner, Said};
pub use stream::Pair;

/// How long a connection that is to be closed may take to read what was written to it.
const LINGER: Millis = Millis(10_000);

/// In the order in which they are written to: callees first, who are at it while answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Callee(InstanceId),
    Caller(ConnectionId),
    Approver(u32),
}

/// The streams of a relay.
#[derive(Debug)]
pub struct Carrier {
    relay: Relay,
    streams: BTreeMap<Whose, Stream>,
    waits: Waits,
    /// Of whom something else may be to be waited for than before.
    touched: Vec<Whose>,
    /// Those who do not read what waits for them, and whether there were any at the last wait.
    full: BTreeSet<Whose>,
    holds_up: bool,
    /// Bytes that are held of all streams, at most so many and at least as many as there are; and whether it was much
    /// at the last wait.
    held: usize,
    most: usize,
    short: bool,
    /// Those that are to be closed, or broken.
    closing: BTreeSet<Whose>,
    approvals: Approvals,
    /// What an approver has written of its line.
    lines: BTreeMap<u32, Vec<u8>>,
    /// What callers wrote that no turn came to yet; and how long a turn takes lines of one of them.
    left: BTreeMap<ConnectionId, Vec<u8>>,
    share: u64,
    /// Where secrets come that stand in arguments.
    keys: Keys,
    /// How many calls waited when the owner was told.
    told: usize,
    /// The time of this turn.
    now: Moment,
    /// What happened and was not told yet.
    records: Vec<Record>,
    /// Those for whom something waits that was not tried to be written yet, or who are to be closed.
    written: Vec<Whose>,
    /// Where to is read.
    piece: Vec<u8>,
}

/// Now, on the clock of the relay.
///
/// # Errors
/// Where the clock reads what cannot be.
pub fn now() -> io::Result<Moment> {
    let time = clock_gettime(ClockId::Boottime);
    let both = u64::try_from(time.tv_sec).ok().zip(u64::try_from(time.tv_nsec).ok());
    let nanos = both.and_then(|(sec, nsec)| sec.checked_mul(1_000_000_000)?.checked_add(nsec));
    nanos.map(Moment).ok_or_else(|| io::Error::other("the clock is before the machine's start"))
}

impl Carrier {
    /// Carries for this relay; there is no stream yet.
    ///
    /// # Errors
    /// Where there is no descriptor to be had.
    pub fn new(relay: Relay, approvals: Approvals) -> io::Result<Self> {
        Ok(Self {
            relay,
            streams: BTreeMap::new(),
            waits: Waits::new()?,
            touched: Vec::new(),
            full: BTreeSet::new(),
            holds_up: false,
            held: 0,
            most: held::MOST,
            short: false,
            closing: BTreeSet::new(),
            approvals,
            lines: BTreeMap::new(),
            left: BTreeMap::new(),
            share: lines::SHARE,
            keys: Keys::default(),
            told: 0,
            now: Moment(0),
            records: Vec::new(),
            written: Vec::new(),
            piece: vec![0; READ],
        })
    }

    /// The relay.
    #[must_use]
    pub const fn relay(&self) -> &Relay {
        &self.relay
    }

    /// Carries until the owner is gone.
    ///
    /// # Errors
    /// Where the owner cannot be heard or told, or epoll(7) fails.
    pub fn run(&mut self, owner: &mut impl Owner) -> io::Result<()> {
        while self.turn(owner)? {}
        Ok(())
    }

    /// Waits until something happens, and does what follows. False where the owner is gone.
    ///
    /// # Errors
    /// As [`Carrier::run`].
    pub fn turn(&mut self, owner: &mut impl Owner) -> io::Result<bool> {
        let Woken { owner: heard, keys, ready } = self.wait(owner)?;
        self.now = now()?;
        // What waits from turns before; what is heard or read now goes on once it is told.
        for (whose, ..) in ready.iter().filter(|(.., flags)| flags.contains(EventFlags::OUT)) {
            if let Some(stream) = self.streams.get_mut(whose) {
                stream.flush();
            }
        }
        if heard {
            while let Some(said) = owner.hear()? {
                if matches!(said, Said::Gone) {
                    self.deliver(owner)?;
                    return Ok(false);
                }
                self.said(said, owner)?;
            }
        }
        if keys {
            self.keys.hear(&mut self.relay, &self.waits)?;
        }
        self.go_on(owner)?;
        for (whose, end, flags) in ready {
            self.touched.push(whose);
            self.ready((whose, end), flags, owner)?;
        }
        self.left.retain(|_, left| !left.is_empty());
        self.linger(owner)?;
        self.step(Input::Clock, owner)?;
        self.deliver(owner)?;
        self.tell_waiting(owner)?;
        for (callee, load) in self.relay.loads() {
            owner.load(callee, load)?;
        }
        Ok(true)
    }

    /// A stream more.
    fn add(&mut self, whose: Whose, pair: Pair) -> io::Result<()> {
        self.take(whose)?;
        let stream = Stream::new(pair)?;
        let is_callee = matches!(whose, Whose::Callee(_));
        self.streams.insert(whose, if is_callee { stream.reading_on() } else { stream });
        self.touched.push(whose);
        Ok(())
    }

    /// A stream less, which is not waited for any more.
    fn take(&mut self, whose: Whose) -> io::Result<Option<Stream>> {
        let Some(mut stream) = self.streams.remove(&whose) else { return Ok(None) };
        self.full.remove(&whose);
        self.closing.remove(&whose);
        self.forget_left(whose);
        self.waits.ask(whose, &mut stream, [None; 2])?;
        Ok(Some(stream))
    }

    /// Waits until something happens.
    fn wait(&mut self, owner: &impl Owner) -> io::Result<Woken> {
        self.waits.listen(owner.descriptor())?;
        self.look_out()?;
        let closing = self.closing.iter().filter_map(|whose| self.streams.get(whose));
        let broken = closing.clone().any(Stream::is_broken);
        let next = self.relay.wakes_at().into_iter().chain(closing.filter_map(Stream::closing));
        let timeout = match next.min() {
            _ if broken || owner.has_more() || !self.left.is_empty() => {
                Some(Timespec { tv_sec: 0, tv_nsec: 0 })
            }
            Some(at) => {
                let nanos = at.0.saturating_sub(now()?.0);
                Some(Timespec {
                    tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
                    tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
                })
            }
            None => None,
        };
        let woken = self.waits.wait(self.streams.len(), timeout)?;
        Ok(Woken { owner: woken.owner || owner.has_more(), ..woken })
    }

    /// Asks for what is to be waited for from here on.
    fn look_out(&mut self) -> io::Result<()> {
        let mut touched = std::mem::take(&mut self.touched);
        let short = self.is_short();
        if std::mem::replace(&mut self.short, short) != short {
            touched = self.streams.keys().copied().collect();
        }
        for whose in &touched {
            let Some(stream) = self.streams.get(whose) else { continue };
            if stream.is_full(short) {
                self.full.insert(*whose);
            } else {
                self.full.remove(whose);
            }
            if stream.is_broken() || stream.closing().is_some() {
                self.closing.insert(*whose);
            }
        }
        // Whoever writes to one of these waits too, and who that is may be another each time.
        let holds_up = !self.full.is_empty();
        if std::mem::replace(&mut self.holds_up, holds_up) || holds_up {
            touched = self.streams.keys().copied().collect();
        }
        for whose in touched {
            let held_up = holds_up && self.held_up(whose);
            if let Some(stream) = self.streams.get_mut(&whose) {
                let wanted = stream.wants(held_up);
                if !self.waits.ask(whose, stream, wanted)? {
                    stream.give_up();
                    self.closing.insert(whose);
                }
            }
        }
        Ok(())
    }

    fn said(&mut self, said: Said, owner: &mut impl Owner) -> io::Result<()> {
        match said {
            Said::Opened { connection, caller, edge, behalf, pair } => {
                self.add(Whose::Caller(connection), pair)?;
                let endpoint = edge.as_ref().map_or(Endpoint::FirstLine, Endpoint::Edge);
                self.step(Input::Opened { connection, caller: &caller, endpoint, behalf }, owner)
            }
            Said::Started { instance, pair } => {
                self.add(Whose::Callee(instance), pair)?;
                self.step(Input::Started(instance), owner)
            }
            Said::Ended(instance) => self.ended(instance, owner),
            Said::CallerGone(caller) => self.step(Input::CallerGone(&caller), owner),
            Said::Approver { number, stream } => self.approver(number, stream),
            Said::Revoked(edge) => self.step(Input::Revoked(edge), owner),
            Said::Recorded { call, written } => self.step(Input::Recorded { call, written }, owner),
            Said::Secrets { caller, behalf, line } => {
                self.keys.come_from((caller, behalf), line, &self.waits)
            }
            Said::Kept(saved) => {
                self.relay.restore(&saved);
                Ok(())
            }
            // Seen before it came here.
            Said::Gone => Ok(()),
        }
    }

    fn ready(
        &mut self,
        (whose, end): (Whose, End),
        flags: EventFlags,
        owner: &mut impl Owner,
    ) -> io::Result<()> {
        let has_left = self.has_left(whose);
        let Some(stream) = self.streams.get_mut(&whose) else { return Ok(()) };
        let reads = stream.reads() && (end == End::Input || stream.is_one());
        // Both halves are closed there, and what came before that was read: nobody is left to be written to.
        let over = flags.contains(EventFlags::HUP) && end == End::Output && !reads;
        let unread = end == End::Output && flags.contains(EventFlags::ERR);
        let failed = if unread { !stream.unread() } else { flags.contains(EventFlags::ERR) };
        let mut gone = stream.is_broken() || failed || over;
        if flags.intersects(EventFlags::IN | EventFlags::HUP) && reads && !gone && !has_left {
            let mut piece = std::mem::take(&mut self.piece);
            match stream.read(&mut piece) {
                Read::Bytes(count) => {
                    self.heard(count);
                    let bytes = piece.get(..count).unwrap_or_default();
                    match whose {
                        Whose::Caller(id) => self.wrote(id, bytes, owner)?,
                        Whose::Callee(id) => self.step(Input::FromCallee(id, bytes), owner)?,
                        Whose::Approver(id) => self.approver_wrote(id, bytes, owner)?,
                    }
                }
                Read::Nothing => {}
                Read::End => match whose {
                    // Half of a connection may end: whoever pipes requests in still wants answers.
                    Whose::Caller(id) if !flags.contains(EventFlags::HUP) || !stream.is_one() => {
                        self.step(Input::Finished(id), owner)?;
                    }
                    Whose::Caller(_) | Whose::Callee(_) | Whose::Approver(_) => gone = true,
                },
            }
            self.piece = piece;
        }
        if gone { self.let_go(whose, owner) } else { self.sweep(whose, owner) }
    }

    fn step(&mut self, input: Input<'_>, owner: &mut impl Owner) -> io::Result<()> {
        self.follow(input, owner)?;
        self.relieve(owner)
    }

    /// Does what follows from an input.
    fn follow(&mut self, input: Input<'_>, owner: &mut impl Owner) -> io::Result<()> {
        for output in self.relay.step(self.now, input) {
            match output {
                Output::ToCaller(id, line) => self.write(Whose::Caller(id), line),
                Output::ToCallee(id, line) => self.write(Whose::Callee(id), line),
                Output::Swapped(id, line) => self.write_pieces(Whose::Callee(id), line),
                Output::Record(record) => self.records.push(record),
                Output::Close(id) => self.close(Whose::Caller(id)),
                Output::Stop(id) => {
                    self.commit(owner)?;
                    // What it was told last it may still read.
                    if let Some(mut stream) = self.take(Whose::Callee(id))? {
                        stream.go_on();
                    }
                    owner.tell(output)?;
                }
                Output::Ask(ask) => self.ask(ask, owner)?,
                Output::Withdraw(call) => self.approvals.withdraw(call),
                Output::Start { .. }
                | Output::Durable(_)
                | Output::Seen(..)
                | Output::Meant(_)
                | Output::Revoked(_) => self.tell(output, owner)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
