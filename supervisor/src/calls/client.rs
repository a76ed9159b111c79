//! The broker of `sandboxd mcp`, which serves one client and one server: what it tells is held against its
//! plan and written down, as for edges. Whoever the client is, nobody knows: it has the streams that
//! sandboxd was given.

use super::desk::{Closed, UNHEARD, unheard};
use super::durable::Durable;
use super::keeper::Keeper;
use super::records::{Known, Records};
use super::{Listed, Waits};
use crate::lasting::Pins;
use crate::sandbox::StartError;
use crate::service::channel::{Heard, Wish};
use crate::thread::Thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sandboxd_broker_plan::BrokerPlan;
use sandboxd_broker_plan::record::{Event, Method, Record};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A list is told tool by tool, and is over once no tool is told of for so long.
const LISTED: Duration = Duration::from_millis(300);

/// Hears the broker, until this is finished.
pub(crate) struct Client(Thread<Vec<String>>);

/// What the thread has.
struct Ear {
    line: OwnedFd,
    /// The sandbox of the server.
    run: String,
    /// The profile of the server, and what its client is called.
    server: String,
    client: String,
    records: Arc<Mutex<Records>>,
    pins: Keeper,
    waits: Waits,
    listed: Listed,
    /// Whether the server was asked for its tools.
    asked: bool,
    /// When a tool was last told of, and that was not told on yet.
    news: Option<Instant>,
    durable: Durable,
}

impl Client {
    /// Begins to hear the broker of this plan at this line; the server is in the sandbox of this id.
    ///
    /// # Errors
    /// Where there is no thread or descriptor to be had.
    pub(crate) fn hear(
        line: OwnedFd,
        (run, plan): (&str, &BrokerPlan),
        (records, pins): (Records, Option<Pins>),
        (waits, listed): (Waits, Listed),
    ) -> Result<Self, StartError> {
        // What is kept of no server says of none what it has.
        let listed = if pins.is_some() { listed } else { Box::new(|| ()) };
        let name = |names: Option<&sandboxd_broker_plan::Name>| {
            names.map(ToString::to_string).unwrap_or_default()
        };
        let records = Arc::new(Mutex::new(records));
        let told = Arc::clone(&records);
        let ear = Ear {
            line,
            run: run.to_owned(),
            server: name(plan.callees.first().map(|callee| &callee.name)),
            client: name(plan.callers.first().map(|caller| &caller.name)),
            records,
            pins: Keeper::new(pins),
            waits,
            listed,
            asked: false,
            news: None,
            durable: Durable::new(move |error| locked(&told).failed(error)),
        };
        Thread::begin("calls", move |closed| ear.listen(&closed)).map(Self)
    }

    /// Hears the rest, and tells what could not be written down.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        self.0.finish()
    }
}

impl Ear {
    fn listen(mut self, closed: &OwnedFd) -> Vec<String> {
        let mut left = Vec::new();
        if let Err(closed) = self.until(closed).and_then(|()| self.hear(UNHEARD).map(drop)) {
            left.extend(closed.cut_off(&self.line, "its plan"));
        }
        left.extend(self.durable.close());
        left.extend(self.pins.close());
        if self.asked {
            (self.listed)();
        }
        left.extend(self.records().close());
        left
    }

    /// Until the run is over, or the broker is.
    fn until(&mut self, closed: &OwnedFd) -> Result<(), Closed> {
        loop {
            let mut fds =
                [PollFd::new(closed, PollFlags::IN), PollFd::new(&self.line, PollFlags::IN)];
            if self.news.take_if(|told| told.elapsed() >= LISTED).is_some() {
                (self.listed)();
            }
            let rest = self.news.map(|told| LISTED.saturating_sub(told.elapsed()));
            let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
            match poll(&mut fds, rest.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(unheard(errno)),
            }
            let [over, said] = fds.map(|fd| !fd.revents().is_empty());
            if over || (said && !self.hear(usize::MAX)?) {
                return Ok(());
            }
        }
    }

    /// Hears what there is, so much at most; false once the broker is gone.
    fn hear(&mut self, most: usize) -> Result<bool, Closed> {
        for _ in 0..most {
            match Heard::next(&self.line) {
                Ok(Some(heard)) => self.take_in(heard).map_err(Closed::Violated)?,
                Ok(None) | Err(Errno::CONNRESET) => return Ok(false),
                Err(Errno::AGAIN) => {
                    self.pins.save();
                    return Ok(true);
                }
                Err(errno) => return Err(unheard(errno)),
            }
        }
        Ok(true)
    }

    fn take_in(&mut self, heard: Heard) -> Result<(), String> {
        match heard {
            Heard::Records(all) => {
                let told = all.iter().try_for_each(|record| self.record(record));
                self.records().settle();
                told
            }
            Heard::Seen(seen) => {
                self.news = Some(Instant::now());
                self.pins.seen(&seen)
            }
            Heard::Words(words) => self.pins.says(&words),
            Heard::Meant(meant) => self.records().meant(&meant),
            Heard::Wish(Wish::Waits(calls)) => {
                (self.waits)(calls);
                Ok(())
            }
            Heard::Wish(Wish::Load { callee, waiting, breaker }) => {
                self.records().load(callee, waiting, breaker)
            }
            Heard::Wish(_) => Err(String::from("asked for what is there")),
        }
    }

    fn record(&mut self, record: &Record) -> Result<(), String> {
        if record.connection != 0 {
            return Err(format!("reported connection {}, which never existed", record.connection));
        }
        let known = Known {
            sandbox: None,
            chain: vec![self.client.clone()],
            for_several: false,
            callee: Some(self.server.clone()),
            called: Some(self.run.clone()),
        };
        self.asked |=
            matches!(record.event, Event::Allowed(what) if what.method == Method::ToolsList);
        let written = self.records().told(record, known)?;
        self.durable.settle(&self.line, written)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        locked(&self.records)
    }
}

fn locked(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    // Whoever panics ends this process.
    records.lock().unwrap_or_else(PoisonError::into_inner)
}
