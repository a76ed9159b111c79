//! What the broker may ask, and who sees to it: a thread that holds each wish against the graph, starts
//! instances and ends them. A broker that asks for what no edge allows is not the one that we started.

mod bell;
mod edges;
mod ready;
mod start;
mod told;

pub(super) use bell::{Bell, News};
pub(super) use edges::Edges;
use ready::Ready;
pub(super) use told::UNHEARD;

use super::Shared;
use super::durable::Durable;
use super::instance::Instance;
use super::keeper::Keeper;
use super::records::Records;
use crate::explain;
use crate::lasting::Pins;
use crate::sandbox::StartError;
use crate::service::channel::{Heard, Told, Wish};
use crate::service::gathered::Gathered;
use crate::thread::Thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// How long records may lie in their pipe after some were heard: whoever writes them down is not woken for
/// each. They are gathered for longer before they are on the disk.
const GATHER: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// How many pieces of that pipe are heard at a time: more than fit into it.
const PIECES: usize = 16;

/// How long a broker may leave no room for what it is told.
pub(super) const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How many packets are heard before it is looked whether the run is over.
const PACKETS: usize = 256;

/// The thread.
pub(super) struct Desk(Thread<Vec<String>>);

impl Desk {
    /// Opens it.
    ///
    /// # Errors
    /// Where there is no thread or descriptor to be had.
    pub(super) fn open(
        shared: Arc<Shared>,
        records: (Records, Gathered, Edges),
        pins: Option<Pins>,
        news: Receiver<News>,
    ) -> Result<Self, StartError> {
        let clerk = Clerk::new(shared, records, pins, news);
        Thread::begin("calls", move |closed| clerk.work(&closed)).map(Self)
    }

    /// Ends all instances, waits for them, and tells what could not be cleaned up.
    pub(super) fn close(&mut self) -> Vec<String> {
        self.0.finish()
    }
}

/// What the thread has.
struct Clerk {
    shared: Arc<Shared>,
    instances: BTreeMap<u64, Instance>,
    /// Those that are taken back, and those that will be.
    edges: Edges,
    /// What is started before anybody calls.
    ready: Ready,
    /// The number of the one that was asked for last. They rise.
    newest: u64,
    news: Receiver<News>,
    records: Records,
    /// Those of the broker's that no call waits for.
    gathered: Gathered,
    /// What is known of tools, where that is kept.
    pins: Keeper,
    durable: Durable,
    /// What was said of those that do not run.
    told: BTreeSet<String>,
    left: Vec<String>,
}

/// Why the broker is heard no more.
pub(super) enum Closed {
    /// The run is over, or the broker is.
    Over,
    /// The broker said this, which cannot be.
    Violated(String),
    /// The broker cannot be relied on: whosever fault that is.
    Unreliable(String),
}

impl Closed {
    /// Ends a broker that is not the one that was started, or not known to be, and tells why; nothing more that it says
    /// counts.
    pub(super) fn cut_off(self, line: &OwnedFd, held_against: &str) -> Vec<String> {
        let mut left = match self {
            Self::Over => return Vec::new(),
            Self::Violated(what) => {
                vec![format!("the broker {what}, which {held_against} does not allow")]
            }
            Self::Unreliable(why) => vec![format!("the broker was ended: it {why}")],
        };
        // The end of its channel is the broker's end.
        if let Err(errno) = rustix::net::shutdown(line, rustix::net::Shutdown::Both) {
            left.push(format!("not ended: the broker: {}", explain::errno(errno.raw_os_error())));
        }
        left
    }
}

/// Why nothing more is heard: what it said is no message, or it cannot be read.
pub(super) fn unheard(errno: Errno) -> Closed {
    match errno {
        Errno::BADMSG => Closed::Violated(String::from("sent an invalid message")),
        errno => Closed::Unreliable(format!(
            "cannot be read from: {}",
            explain::errno(errno.raw_os_error())
        )),
    }
}

impl Clerk {
    fn new(
        shared: Arc<Shared>,
        (records, gathered, edges): (Records, Gathered, Edges),
        pins: Option<Pins>,
        news: Receiver<News>,
    ) -> Self {
        let (instances, told, left) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let pins = Keeper::new(pins);
        let bell = shared.bell.clone();
        Self {
            shared,
            instances,
            edges,
            ready: Ready::default(),
            newest: 0,
            news,
            records,
            gathered,
            pins,
            durable: Durable::new(move |error| bell.ring(News::Unwritten(error))),
            told,
            left,
        }
    }

    fn work(mut self, closed: &OwnedFd) -> Vec<String> {
        let over = match self.serve(closed) {
            Closed::Over => self.hear_the_rest(),
            closed @ (Closed::Violated(_) | Closed::Unreliable(_)) => Err(closed),
        };
        if let Err(closed) = over {
            self.left.extend(closed.cut_off(&self.shared.line, "the graph"));
        }
        self.instances.values_mut().for_each(Instance::end);
        self.ready.end_all();
        let ready = std::mem::take(&mut self.ready).rest();
        for instance in std::mem::take(&mut self.instances).into_values().chain(ready) {
            self.left.extend(instance.gone());
        }
        self.left.extend(self.durable.close());
        // What could not be started is said, however late, and so is what was not written down; but not what
        // was kept for nobody, which ends with whoever it was kept for.
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Over { refused: Some(refused), .. } => self.refused(&refused),
                News::Knocked(knock) => self.records.knocked(knock),
                News::Unwritten(error) => self.records.failed(error),
                News::Started { .. }
                | News::Runs(_)
                | News::Unused { .. }
                | News::Over { refused: None, .. }
                | News::Left(_)
                | News::Revoke { .. } => {}
            }
        }
        self.left.extend(self.pins.close());
        self.left.extend(self.records.close());
        self.left
    }

    fn serve(&mut self, closed: &OwnedFd) -> Closed {
        let mut rests = false;
        loop {
            let mut fds = [
                PollFd::new(closed, PollFlags::IN),
                PollFd::new(&self.shared.line, PollFlags::IN),
                PollFd::new(&*self.shared.bell.wake, PollFlags::IN),
                PollFd::new(self.edges.timer(), PollFlags::IN),
                PollFd::new(&self.gathered, PollFlags::IN),
            ];
            // While it rests, nothing that comes in the pipe wakes it.
            let soon = self.ready.wakes_in();
            let (awake, timeout) = if rests { (4, Some(GATHER)) } else { (5, soon) };
            match poll(fds.get_mut(..awake).unwrap_or_default(), timeout.as_ref()) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return unheard(errno),
            }
            let [over, wished, told, timed, _] = fds.map(|fd| !fd.revents().is_empty());
            if over {
                return Closed::Over;
            }
            // What happened comes before what is over by now and what is wanted next.
            match self.hear_gathered() {
                Ok(heard) => rests = heard,
                Err(closed) => return closed,
            }
            if told && let Err(closed) = self.hear_news() {
                return closed;
            }
            if wished && let Err(closed) = self.hear_wishes() {
                return closed;
            }
            if timed && let Err(closed) = self.time_is_over() {
                return closed;
            }
            self.refill();
        }
    }

    /// Hears the records that are there, but not for ever; whether there were any.
    fn hear_gathered(&mut self) -> Result<bool, Closed> {
        let mut heard = false;
        for _ in 0..PIECES {
            match self.gathered.next() {
                Ok(Some(records)) => {
                    self.records_now(&records).map_err(Closed::Violated)?;
                    heard = true;
                }
                Ok(None) => {
                    // A broker that tells nothing more is not to carry anything more.
                    rustix::net::shutdown(&self.shared.line, rustix::net::Shutdown::Write).ok();
                    return Err(Closed::Over);
                }
                Err(Errno::AGAIN) => return Ok(heard),
                Err(errno) => return Err(unheard(errno)),
            }
        }
        Ok(heard)
    }

    /// Hears what is wanted, but not for ever.
    fn hear_wishes(&mut self) -> Result<(), Closed> {
        for _ in 0..PACKETS {
            let heard = match Heard::next(&self.shared.line) {
                Ok(Some(heard)) => heard,
                Ok(None) | Err(Errno::CONNRESET) => return Err(Closed::Over),
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(unheard(errno)),
            };
            // What was told of a connection comes before its end, and that a call was approved before that it goes
            // on. At the end of the pipe this packet still counts.
            self.hear_gathered_to_its_end()?;
            let Some(wish) = self.take_in(heard).map_err(Closed::Violated)? else { continue };
            match wish {
                Wish::Start { instance, edge, connection } => {
                    self.start(instance, edge, connection)?;
                }
                Wish::Stop(instance) => {
                    if let Some(instance) = self.instances.get_mut(&instance) {
                        instance.end();
                    }
                }
                Wish::Closed(connection) => {
                    self.shared.connections().remove(&connection);
                }
                Wish::Revoked(edge) => self.obeyed(edge)?,
                Wish::Waits(calls) => (self.shared.calls.waits)(calls),
                Wish::Load { callee, waiting, breaker } => {
                    self.records.load(callee, waiting, breaker).map_err(Closed::Violated)?;
                }
            }
        }
        self.pins.save();
        Ok(())
    }

    fn hear_news(&mut self) -> Result<(), Closed> {
        let mut count = [0; 8];
        // It only wakes; what there is to hear says the channel.
        rustix::io::read(&*self.shared.bell.wake, &mut count).ok();
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Started { instance, pipes } => {
                    let line = self.shared.line.as_fd();
                    let told = Told::Started(instance).say_within(line, &pipes.both(), PATIENCE);
                    if told.is_err()
                        && let Some(instance) = self.instances.get_mut(&instance)
                    {
                        instance.end();
                    }
                }
                News::Over { instance, refused } => {
                    if let Some(refused) = refused {
                        self.refused(&refused);
                    }
                    if let Some(gone) = self.instances.remove(&instance) {
                        self.left.extend(gone.gone());
                    }
                    // One whose init cannot be reaped is over without a word that it left.
                    self.ready.left(instance);
                    self.ended(instance);
                }
                News::Knocked(knock) => self.records.knocked(knock),
                News::Unwritten(error) => self.records.failed(error),
                News::Runs(who) => {
                    let revoked = |edge| self.edges.is_revoked(edge);
                    self.ready.keep(&self.shared.calls.graph, &who, revoked);
                }
                News::Unused { ready, why } => self.unused(ready, why),
                News::Left(caller) => {
                    let called = self.instances.values_mut();
                    called.filter(|one| one.behalf == caller).for_each(Instance::end);
                    self.ready.left(caller);
                }
                News::Revoke { edge, by, stream } => self.revoke(edge, Some((by, stream)))?,
            }
        }
        Ok(())
    }

    fn ended(&self, instance: u64) {
        // A broker that is gone or does not read loses it, and with it what waits for it.
        Told::Ended(instance).say_within(self.shared.line.as_fd(), &[], PATIENCE).ok();
    }
}

#[cfg(test)]
pub(super) mod tests;
