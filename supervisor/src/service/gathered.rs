//! Records of the broker's for which no call waits: one after the other in a stream, of which many are read at a
//! time. Of packets the kernel keeps ten (`net.unix.max_dgram_qlen`) before whoever sends one waits.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, Result, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use sandboxd_broker_plan::record::{Record, SIZE};

/// Bytes that are read at once.
const PIECE: usize = 256 * SIZE;

/// Says a record, and waits for room.
///
/// # Errors
/// Where the supervisor is gone (`EPIPE`).
pub(crate) fn say(record: &Record, to: BorrowedFd<'_>) -> Result<()> {
    let bytes = record.encode();
    let mut left = bytes.as_slice();
    while !left.is_empty() {
        let mut nothing = SendAncillaryBuffer::default();
        let piece = [IoSlice::new(left)];
        let sent = retry_on_intr(|| sendmsg(to, &piece, &mut nothing, SendFlags::NOSIGNAL))?;
        left = left.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// The supervisor's end of the stream.
pub(crate) struct Gathered {
    stream: OwnedFd,
    bytes: Vec<u8>,
    /// How many of them are of a record that is not whole.
    held: usize,
}

impl Gathered {
    pub(crate) fn new(stream: OwnedFd) -> Self {
        Self { stream, bytes: vec![0; PIECE], held: 0 }
    }

    /// The records that are there now; nothing at the end.
    ///
    /// # Errors
    /// `EAGAIN` where there is none now, `EBADMSG` where it is none of the broker's.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<Record>>> {
        let room = self.bytes.get_mut(self.held..).unwrap_or_default();
        let received = retry_on_intr(|| recv(&self.stream, &mut *room, RecvFlags::DONTWAIT))?.0;
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
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use sandboxd_broker_plan::record::Event;

    fn record(connection: u64) -> Record {
        Record { edge: Some(1), connection, instance: 0, call: 0, event: Event::Struck }
    }

    #[test]
    fn what_is_said_is_heard_however_it_is_cut_and_half_a_record_is_none() {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        let mut gathered = Gathered::new(ours);
        assert_eq!(gathered.next(), Err(Errno::AGAIN));
        for connection in 0..40 {
            say(&record(connection), theirs.as_fd()).unwrap();
        }
        let heard = gathered.next().unwrap().unwrap();
        assert_eq!(heard, (0..40).map(record).collect::<Vec<_>>());
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
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::io::write(&theirs, &[0xff; SIZE]).unwrap();
        let mut gathered = Gathered::new(ours);
        assert_eq!(gathered.next(), Err(Errno::BADMSG));
        drop(theirs);
        assert_eq!(gathered.next(), Ok(None));
    }
}
