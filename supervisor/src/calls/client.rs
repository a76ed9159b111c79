//! The broker of `sandboxd mcp`, which serves one client and one server: what it tells is held against its
//! plan and written down, as for edges. Whoever the client is, nobody knows: it has the streams that
//! sandboxd was given.

use super::Waits;
use super::desk::UNHEARD;
use super::durable::Durable;
use super::keeper::Keeper;
use super::records::{Known, Records, Written};
use crate::lasting::Pins;
use crate::sandbox::StartError;
use crate::service::channel::{Heard, Told, Wish};
use crate::thread::Thread;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use sandboxd_broker_plan::BrokerPlan;
use sandboxd_broker_plan::record::Record;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Waits for the disk, once a call does.
    durable: Option<Durable>,
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
        waits: Waits,
    ) -> Result<Self, StartError> {
        let name = |names: Option<&sandboxd_broker_plan::Name>| {
            names.map(ToString::to_string).unwrap_or_default()
        };
        let ear = Ear {
            line,
            run: run.to_owned(),
            server: name(plan.callees.first().map(|callee| &callee.name)),
            client: name(plan.callers.first().map(|caller| &caller.name)),
            records: Arc::new(Mutex::new(records)),
            pins: Keeper::new(pins),
            waits,
            durable: None,
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
        if let Err(what) = self.until(closed).and_then(|()| self.hear(UNHEARD).map(drop)) {
            left.push(format!("the broker {what}, which its plan does not allow"));
            // The end of its channel is the broker's end.
            if let Err(errno) = rustix::net::shutdown(&self.line, rustix::net::Shutdown::Both) {
                left.push(format!("not ended: the broker: {errno}"));
            }
        }
        // It waits for what is on its way to the disk.
        self.durable = None;
        left.extend(self.pins.close());
        left.extend(self.records().close());
        left
    }

    /// Until the run is over, or the broker is.
    fn until(&mut self, closed: &OwnedFd) -> Result<(), String> {
        loop {
            let mut fds =
                [PollFd::new(closed, PollFlags::IN), PollFd::new(&self.line, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(format!("cannot be heard: {errno}")),
            }
            let [over, said] = fds.map(|fd| !fd.revents().is_empty());
            if over || (said && !self.hear(usize::MAX)?) {
                return Ok(());
            }
        }
    }

    /// Hears what there is, so much at most; false once the broker is gone.
    fn hear(&mut self, most: usize) -> Result<bool, String> {
        for _ in 0..most {
            match Heard::next(&self.line) {
                Ok(Some(Heard::Records(all))) => {
                    let told = all.iter().try_for_each(|record| self.record(record));
                    self.records().settle();
                    told?;
                }
                Ok(Some(Heard::Seen(seen))) => self.pins.seen(&seen)?,
                Ok(Some(Heard::Words(words))) => self.pins.says(&words)?,
                Ok(Some(Heard::Meant(meant))) => self.records().meant(&meant)?,
                Ok(Some(Heard::Wish(Wish::Waits(calls)))) => (self.waits)(calls),
                Ok(Some(Heard::Wish(Wish::Load { callee, waiting, breaker }))) => {
                    self.records().load(callee, waiting, breaker)?;
                }
                Ok(Some(Heard::Wish(_))) => return Err(String::from("asked for what is there")),
                Ok(None) | Err(Errno::CONNRESET) => return Ok(false),
                Err(Errno::AGAIN) => {
                    self.pins.save();
                    return Ok(true);
                }
                Err(errno) => return Err(format!("said what is none: {errno}")),
            }
        }
        Ok(true)
    }

    fn record(&mut self, record: &Record) -> Result<(), String> {
        if record.connection != 0 {
            return Err(format!("tells of connection {}, which never was", record.connection));
        }
        let known = Known {
            sandbox: None,
            chain: vec![self.client.clone()],
            for_several: false,
            callee: Some(self.server.clone()),
            called: Some(self.run.clone()),
        };
        let written = self.records().told(record, known)?;
        match written {
            Written::Yes => {}
            Written::Not(call) => self.not_written(call),
            Written::Waits(call, commit) => {
                if self.durable.is_none() {
                    let records = Arc::clone(&self.records);
                    let unwritten = Box::new(move |error| locked(&records).failed(error));
                    self.durable = Durable::begin(&self.line, unwritten).ok();
                }
                match &self.durable {
                    None => self.not_written(call),
                    Some(durable) if durable.waits(call, commit) => {}
                    Some(_) => return Err(String::from("lets more calls wait than there may be")),
                }
            }
        }
        Ok(())
    }

    fn not_written(&self, call: u64) {
        // A broker that is gone or does not read refuses the call by itself.
        Told::Recorded { call, written: false }.say(self.line.as_fd(), &[]).ok();
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        locked(&self.records)
    }
}

fn locked(records: &Mutex<Records>) -> MutexGuard<'_, Records> {
    // Whoever panics ends this process.
    records.lock().unwrap_or_else(PoisonError::into_inner)
}
