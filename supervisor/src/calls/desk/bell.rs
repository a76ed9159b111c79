//! What the desk is told from other threads, and what wakes it.

use crate::calls::Connection;
use crate::calls::records::Knock;
use crate::control::Approver;
use crate::sandbox::StartError;
use crate::service::pipes::Pipes;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use sandboxd_audit::AuditError;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the desk is told by those who do not wait for it.
pub(in crate::calls) enum News {
    /// An instance has every layer on, and is let go.
    Started {
        /// Which.
        instance: u64,
        /// The broker's ends of its pipes.
        pipes: Pipes,
    },
    /// An instance is over, or does not run.
    Over {
        /// Which.
        instance: u64,
        /// Why it did not run, where it did not.
        refused: Option<(String, StartError)>,
    },
    /// The command of whoever this is runs.
    Runs(Connection),
    /// What was kept ready is over, and nobody claimed it.
    Unused {
        /// Its number among those.
        ready: u64,
        /// Why it could not be kept.
        why: Option<(String, StartError)>,
    },
    /// This instance is over, and what it has called is to end.
    Left(u64),
    /// Somebody connected.
    Knocked(Knock),
    /// Whoever this is takes an edge back, and is answered on this stream.
    Revoke {
        /// Its place in the plan.
        edge: usize,
        /// Who.
        by: Approver,
        /// Where.
        stream: OwnedFd,
    },
    /// A record that a call waited for is not on the disk.
    Unwritten(AuditError),
}

/// Where the desk is told so.
#[derive(Clone)]
pub(in crate::calls) struct Bell {
    teller: Sender<News>,
    /// Written to after each news.
    pub(super) wake: Arc<OwnedFd>,
}

impl Bell {
    /// A bell, and what is heard of it.
    ///
    /// # Errors
    /// Where there is no descriptor to be had.
    pub(in crate::calls) fn new() -> Result<(Self, Receiver<News>), StartError> {
        let (teller, news) = channel();
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| StartError::call("eventfd2", "calls", errno))?;
        Ok((Self { teller, wake: Arc::new(wake) }, news))
    }

    /// Tells the desk. One that is closed hears nothing more.
    pub(in crate::calls) fn ring(&self, news: News) {
        self.teller.send(news).ok();
        rustix::io::write(&*self.wake, &1_u64.to_ne_bytes()).ok();
    }
}
