//! Records, to the supervisor. Nobody waits for it: what it does not take in time is lost, and the next
//! record says how many were.

use sandboxd_egress_plan::Record;
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

    /// Returns when the supervisor is gone. It says nothing, so whatever is read is dropped.
    pub(super) async fn gone(&self) -> io::Result<()> {
        loop {
            match self.control.recv(&mut [0; 64]).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // It may be gone with something of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
