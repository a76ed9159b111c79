//! What the broker tells of calls: held against what is known here, and written down.

use super::{Clerk, Closed, unheard};
use crate::calls::records::Known;
use crate::service::channel::{Heard, Wish};
use rustix::io::Errno;
use sandboxd_broker_plan::record::{Event, Record};
use std::sync::atomic::Ordering;

/// As many messages as fit into a channel of the kernel's usual size, and more.
pub(in crate::calls) const UNHEARD: usize = 4096;

impl Clerk {
    /// What the broker told before the run was over, and nobody has heard yet: it tells of a call before it
    /// answers whoever called, and the last answer is often the end. No more than it can have told by then.
    ///
    /// # Errors
    /// Where it told what cannot be.
    pub(super) fn hear_the_rest(&mut self) -> Result<(), Closed> {
        self.hear_gathered_to_its_end()?;
        for _ in 0..UNHEARD {
            match Heard::next(&self.shared.line) {
                // Nothing is started any more.
                Ok(Some(heard)) => drop(self.take_in(heard).map_err(Closed::Violated)?),
                Ok(None) | Err(Errno::AGAIN | Errno::CONNRESET) => break,
                Err(errno) => return Err(unheard(errno)),
            }
        }
        // What it could only tell once there was room for a packet.
        self.hear_gathered_to_its_end()
    }

    /// The records that are there. At the end of their pipe, what comes in packets still counts.
    pub(super) fn hear_gathered_to_its_end(&mut self) -> Result<(), Closed> {
        match self.hear_gathered() {
            Ok(_) | Err(Closed::Over) => Ok(()),
            Err(closed) => Err(closed),
        }
    }

    /// Takes in what the broker says; something that it wants is for whoever hears it.
    pub(super) fn take_in(&mut self, heard: Heard) -> Result<Option<Wish>, String> {
        match heard {
            Heard::Wish(wish) => return Ok(Some(wish)),
            Heard::Records(all) => self.records_now(&all)?,
            Heard::Seen(seen) => self.pins.seen(&seen)?,
            Heard::Words(words) => self.pins.says(&words)?,
            Heard::Meant(meant) => self.records.meant(&meant)?,
        }
        Ok(None)
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
            return Err(format!("reported a call over edge {edge}, which is revoked"));
        }
        let known = self.known(record)?;
        let written = self.records.told(record, known)?;
        self.durable.settle(&self.shared.line, written)
    }

    /// What is known here of whom a record is about.
    pub(super) fn known(&self, record: &Record) -> Result<Known, String> {
        let number = record.connection;
        let connections = self.shared.connections();
        let connection = connections.get(&number);
        // One that is closed may still be told of.
        if connection.is_none() && number > self.shared.last.load(Ordering::Relaxed) {
            return Err(format!("reported connection {number}, which never existed"));
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
}
