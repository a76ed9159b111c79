//! Records, to the supervisor. Nobody waits for it: what it does not take in time is lost, and the next
//! record says how many were.

use sandboxd_egress_plan::{Level, Record, Use};
use std::{cell::Cell, io, os::fd::OwnedFd};
use tokio::net::UnixDatagram;

/// The supervisor's end of things.
#[derive(Debug)]
pub(super) struct Teller {
    /// It keeps messages apart, as one of datagrams does, and has an end, which those have not.
    control: UnixDatagram,
    lost: Cell<u32>,
}

impl Teller {
    pub(super) fn new(control: OwnedFd) -> io::Result<Self> {
        let control = std::os::unix::net::UnixDatagram::from(control);
        control.set_nonblocking(true)?;
        Ok(Self { control: UnixDatagram::from_std(control)?, lost: Cell::new(0) })
    }

    pub(super) fn tell(&self, mut record: Record) {
        record.lost = self.lost.get();
        let told = self.control.try_send(&record.encode());
        self.lost.set(if told.is_ok() { 0 } else { self.lost.get().saturating_add(1) });
    }

    /// What an answer used. Where nobody takes that in time, it is in no list; what it costs is in what
    /// follows.
    pub(super) fn tell_use(&self, used: &Use) {
        if self.control.try_send(&used.encode()).is_err() {
            self.lost.set(self.lost.get().saturating_add(1));
        }
    }

    /// How far a budget is used up; whether that was taken.
    pub(super) fn tell_level(&self, level: &Level) -> bool {
        self.control.try_send(&level.encode()).is_ok()
    }

    /// What the supervisor says: what others have used of a budget. Nothing where it is gone.
    pub(super) async fn hear(&self) -> io::Result<Option<Level>> {
        loop {
            let mut bytes = [0; Level::SIZE + 1];
            match self.control.recv(&mut bytes).await {
                Ok(0) => return Ok(None),
                Ok(length) if length == Level::SIZE => {
                    return Ok(bytes.first_chunk().map(Level::decode));
                }
                Ok(_) => {}
                // It may be gone with something of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
