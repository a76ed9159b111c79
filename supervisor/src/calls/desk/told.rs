//! What the broker tells of calls: held against what is known here, and written down.

use super::{Clerk, Closed, News};
use crate::calls::durable::Durable;
use crate::calls::records::{Known, Written};
use crate::service::channel::{Heard, Told};
use rustix::fd::AsFd as _;
use sandboxd_broker_plan::record::{Event, Record};
use std::sync::atomic::Ordering;

/// As many messages as fit into a channel of the kernel's usual size, and more.
pub(in crate::calls) const UNHEARD: usize = 4096;

impl Clerk {
    /// What the broker told before the run was over, and nobody has heard yet: it tells of a call before it
    /// answers whoever called, and the last answer is often the end. No more than it can have told by then.
    pub(super) fn hear_the_rest(&mut self) {
        if let Err(Closed::Violated(what)) = self.hear_gathered() {
            return self.cut_off(&what);
        }
        for _ in 0..UNHEARD {
            match Heard::next(&self.shared.line) {
                Ok(Some(Heard::Records(all))) => {
                    if let Err(what) = self.records_now(&all) {
                        return self.cut_off(&what);
                    }
                }
                Ok(Some(Heard::Seen(seen))) => {
                    if let Err(what) = self.pins.seen(&seen) {
                        return self.cut_off(&what);
                    }
                }
                Ok(Some(Heard::Words(words))) => {
                    if let Err(what) = self.pins.says(&words) {
                        return self.cut_off(&what);
                    }
                }
                Ok(Some(Heard::Meant(meant))) => {
                    if let Err(what) = self.records.meant(&meant) {
                        return self.cut_off(&what);
                    }
                }
                // Nothing is started any more.
                Ok(Some(Heard::Wish(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        // What it could only tell once there was room for a packet.
        if let Err(Closed::Violated(what)) = self.hear_gathered() {
            self.cut_off(&what);
        }
    }

    /// Writes down what the broker tells, before anything else is heard.
    pub(super) fn records_now(&mut self, all: &[Record]) -> Result<(), String> {
        let told = all.iter().try_for_each(|record| self.record(record));
        self.records.settle();
        told
    }

    /// Writes down what the broker tells, with what comes with it; a call that waits for it goes on once it is on
    /// the disk.
    pub(super) fn record(&mut self, record: &Record) -> Result<(), String> {
        let over = record.edge.and_then(|edge| usize::try_from(edge).ok());
        if let (Event::Allowed(_), Some(edge)) = (&record.event, over)
            && self.edges.holds(edge)
        {
            return Err(format!("tells of a call over edge {edge}, which is taken back"));
        }
        let known = self.known(record)?;
        match self.records.told(record, known)? {
            Written::Yes => {}
            Written::Not(call) => self.recorded(call, false),
            Written::Waits(call, commit) => {
                if self.durable.is_none() {
                    let bell = self.shared.bell.clone();
                    let unwritten = Box::new(move |error| bell.ring(News::Unwritten(error)));
                    self.durable = Durable::begin(&self.shared.line, unwritten).ok();
                }
                let Some(durable) = &self.durable else {
                    self.recorded(call, false);
                    return Ok(());
                };
                if !durable.waits(call, commit) {
                    return Err(String::from("lets more calls wait than there may be"));
                }
            }
        }
        Ok(())
    }

    /// What is known here of whom a record is about.
    pub(super) fn known(&self, record: &Record) -> Result<Known, String> {
        let number = record.connection;
        let connections = self.shared.connections();
        let connection = connections.get(&number);
        // One that is closed may still be told of.
        if connection.is_none() && number > self.shared.last.load(Ordering::Relaxed) {
            return Err(format!("tells of connection {number}, which never was"));
        }
        let graph = &self.shared.calls.graph;
        let (mut chain, mut for_several) = (Vec::new(), false);
        if let Some(connection) = connection {
            chain.push(graph.name(&connection.standing).to_owned());
            let mut behalf = connection.behalf;
            while let Some(instance) = self.instances.get(&behalf) {
                // Which of its callers one for several means, the broker alone knows.
                let Some(caller) = &instance.caller else {
                    for_several = true;
                    break;
                };
                chain.push(caller.clone());
                // Whoever called it was there before it.
                behalf = instance.behalf.min(behalf.saturating_sub(1));
            }
            chain.reverse();
        }
        let instance = self.instances.get(&record.instance);
        Ok(Known {
            sandbox: connection.map(|connection| connection.sandbox.clone()),
            chain,
            for_several,
            callee: instance.map(|instance| instance.callee.clone()),
            called: None,
        })
    }

    fn recorded(&self, call: u64, written: bool) {
        // A broker that is gone or does not read refuses the call by itself.
        Told::Recorded { call, written }.say(self.shared.line.as_fd(), &[]).ok();
    }
}
