//! Records of the broker's for which no call waits: one after the other in a pipe, of which many are written and read
//! at a time. Of packets the kernel keeps ten (`net.unix.max_dgram_qlen`) before whoever sends one waits, and of a
//! socket's stream it takes a buffer for each piece that was written.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, Result, read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use sandboxd_broker_plan::record::{Record, SIZE};

/// Bytes that are read at once.
const PIECE: usize = 256 * SIZE;

/// Says records, and waits for room.
///
/// # Errors
/// Where the supervisor is gone (`EPIPE`).
pub(crate) fn say(records: &[Record], to: BorrowedFd<'_>) -> Result<()> {
    let bytes: Vec<[u8; SIZE]> = records.iter().map(Record::encode).collect();
    let mut left = bytes.as_flattened();
    while !left.is_empty() {
        let written = retry_on_intr(|| write(to, left))?;
        left = left.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// The supervisor's end of the pipe.
pub(crate) struct Gathered {
    pipe: OwnedFd,
    bytes: Vec<u8>,
    /// How many of them are of a record that is not whole.
    held: usize,
}

impl Gathered {
    /// A pipe, and the end of it that is the broker's.
    ///
    /// # Errors
    /// Where there is no descriptor to be had.
    pub(crate) fn new() -> Result<(Self, OwnedFd)> {
        let (pipe, brokers) = pipe_with(PipeFlags::CLOEXEC)?;
        // The broker waits for room; nobody waits for the broker.
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok((Self { pipe, bytes: vec![0; PIECE], held: 0 }, brokers))
    }

    /// The records that are there now; nothing at the end.
    ///
    /// # Errors
    /// `EAGAIN` where there is none now, `EBADMSG` where it is none of the broker's.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Record>>> {
        let room = self.bytes.get_mut(self.held..).unwrap_or_default();
        let received = retry_on_intr(|| read(&self.pipe, &mut *room))?;
        if received == 0 {
            // Half a record is none.
            return if self.held == 0 { Ok(None) } else { Err(Errno::BADMSG) };
        }
        let there = self.held + received;
        let (whole, rest) = self.bytes.get(..there).unwrap_or_default().as_chunks::<SIZE>();
        let records = whole.iter().map(|bytes| Record::decode(bytes).map_err(|_| Errno::BADMSG));
        let records = records.collect::<Result<Vec<Record>>>()?;
        self.held = rest.len();
        self.bytes.copy_within(there - self.held..there, 0);
        Ok(Some(records))
    }
}

impl AsFd for Gathered {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::record::Event;

    fn record(connection: u64) -> Record {
        Record { edge: Some(1), connection, instance: 0, call: 0, event: Event::Struck }
    }

    #[test]
    fn what_is_said_is_heard_however_it_is_cut_and_half_a_record_is_none() {
        let (mut gathered, theirs) = Gathered::new().unwrap();
        assert_eq!(gathered.next(), Err(Errno::AGAIN));
        let records: Vec<Record> = (0..40).map(record).collect();
        say(&records[..1], theirs.as_fd()).unwrap();
        say(&records[1..], theirs.as_fd()).unwrap();
        let heard = gathered.next().unwrap().unwrap();
        assert_eq!(heard, records);
        let bytes = record(7).encode();
        rustix::io::write(&theirs, &bytes[..SIZE - 1]).unwrap();
        assert_eq!(gathered.next(), Ok(Some(Vec::new())));
        rustix::io::write(&theirs, &bytes[SIZE - 1..]).unwrap();
        assert_eq!(gathered.next(), Ok(Some(vec![record(7)])));
        rustix::io::write(&theirs, &[0; 3]).unwrap();
        assert_eq!(gathered.next(), Ok(Some(Vec::new())));
        drop(theirs);
        assert_eq!(gathered.next(), Err(Errno::BADMSG));
    }

    #[test]
    fn what_is_no_record_is_none() {
        let (mut gathered, theirs) = Gathered::new().unwrap();
        rustix::io::write(&theirs, &[0xff; SIZE]).unwrap();
        assert_eq!(gathered.next(), Err(Errno::BADMSG));
        drop(theirs);
        assert_eq!(gathered.next(), Ok(None));
    }
}
