//! Carrying the command's output to the files it was meant for, up to a limit, and to sockets.
//!
//! Each in a thread of its own, because writing a file waits for whoever has it: a disk that is frozen or a
//! server that does not answer holds up the command, and neither clocks nor signals.

use super::error::StartError;
use super::stdio::Relay;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, retry_on_intr, write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Read at once: as much as a pipe holds.
const CHUNK: usize = 64 << 10;
/// How long a file may take nothing of what a dead sandbox left in its pipes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The streams that are carried.
pub(crate) struct Relays {
    /// Of each, whether somebody reads it, and whether it is over. The thread is waited for by nobody else.
    ends: Vec<(bool, oneshot::Receiver<()>)>,
    shared: Arc<Shared>,
}

/// What the threads tell.
struct Shared {
    /// How many bytes may still be written.
    room: AtomicU64,
    /// How often something was.
    writes: AtomicU64,
    /// What a pipe of the command's could not be read for.
    unread: Mutex<Option<Errno>>,
    over: Notify,
}

/// Why no more is carried.
enum Over {
    /// There is no room left, or a file takes no more, as on a full disk.
    Full,
    /// What the command wrote cannot be read.
    Unread(Errno),
}

impl Relays {
    /// Begins to carry; `most` bytes of all streams together.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(crate) fn start(relays: Vec<Relay>, most: Option<u64>) -> Result<Self, StartError> {
        let room = AtomicU64::new(most.unwrap_or(u64::MAX));
        let shared = Arc::new(Shared {
            room,
            writes: AtomicU64::new(0),
            unread: Mutex::new(None),
            over: Notify::new(),
        });
        let mut ends = Vec::new();
        for relay in relays {
            let ((over, end), is_read) = (oneshot::channel::<()>(), relay.is_read);
            let shared = Arc::clone(&shared);
            let carry = move || {
                // A limit: closing the pipe tells the command, as a reader that left would.
                if let Err(over) = shared.carry(relay) {
                    if let Over::Unread(errno) = over {
                        *shared.unread() = Some(errno);
                    }
                    shared.over.notify_one();
                }
                drop(over);
            };
            Builder::new()
                .name(String::from("output"))
                .spawn(carry)
                .map_err(|error| StartError::io("clone3", "a thread for the output", &error))?;
            ends.push((is_read, end));
        }
        Ok(Self { ends, shared })
    }

    /// Ready when the limit is reached, or a file takes no more.
    ///
    /// # Errors
    /// Where what the command writes cannot be read.
    pub(crate) async fn full(&self) -> Result<(), StartError> {
        self.shared.over.notified().await;
        match *self.shared.unread() {
            Some(errno) => Err(StartError::call("read", "the command's output", errno)),
            None => Ok(()),
        }
    }

    /// Carries what is left in the pipes of a sandbox that has ended, as long as its files take it. What somebody reads
    /// is waited for as it would be without us, where it is `wanted`.
    pub(crate) async fn drain(&mut self, wanted: bool) {
        while let Some((is_read, end)) = self.ends.last_mut() {
            let waits = *is_read && wanted;
            let before = self.shared.writes.load(Ordering::Relaxed);
            match tokio::time::timeout(PATIENCE, end).await {
                Ok(_) => drop(self.ends.pop()),
                Err(_) if waits => {}
                Err(_) if before == self.shared.writes.load(Ordering::Relaxed) => return,
                Err(_) => {}
            }
        }
    }

    /// Whether all was carried.
    pub(crate) fn are_over(&self) -> bool {
        self.ends.is_empty()
    }
}

impl Shared {
    /// Carries until the end of the stream, or until nobody is left to read what goes over a socket.
    ///
    /// # Errors
    /// Why not.
    fn carry(&self, Relay { from, to, is_read }: Relay) -> Result<(), Over> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = retry_on_intr(|| read(&from, &mut *buffer)).map_err(Over::Unread)?;
            if read == 0 {
                return Ok(());
            }
            let fits = if is_read { read } else { self.take(read) };
            let mut bytes = buffer.get(..fits).unwrap_or_default();
            while !bytes.is_empty() {
                let written = match retry_on_intr(|| write(&to, bytes)) {
                    // It may be set not to wait, for whoever else has it.
                    Err(Errno::AGAIN) => {
                        let mut ready = [PollFd::new(&to, PollFlags::OUT)];
                        retry_on_intr(|| poll(&mut ready, None)).map_err(|_| Over::Full)?;
                        continue;
                    }
                    Err(Errno::PIPE | Errno::CONNRESET) if is_read => return Ok(()),
                    written => written.map_err(|_| Over::Full)?,
                };
                self.writes.fetch_add(1, Ordering::Relaxed);
                bytes = bytes.get(written..).unwrap_or_default();
            }
            if fits < read {
                return Err(Over::Full);
            }
        }
    }

    fn unread(&self) -> MutexGuard<'_, Option<Errno>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as much of the room as there is, and is wanted.
    fn take(&self, wanted: usize) -> usize {
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let less = |room: u64| Some(room.saturating_sub(wanted));
        let room = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let room = room.unwrap_or_else(|room| room);
        usize::try_from(room.min(wanted)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
    use tokio::runtime::Builder as Runtime;

    #[test]
    fn a_file_that_takes_nothing_holds_up_nobody_and_no_more_is_written_than_may_be() {
        const PAGE: usize = 4096;
        const MOST: usize = 2 * PAGE + 5;
        // As a file is whose disk does not answer.
        let (disk, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        fcntl_setpipe_size(&to, PAGE).unwrap();
        let (from, given) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        Runtime::new_current_thread().enable_all().build().unwrap().block_on(async {
            let relay = Relay { from, to, is_read: false };
            let mut relays = Relays::start(vec![relay], u64::try_from(MOST).ok()).unwrap();
            assert_eq!(write(&given, &[7; 3 * PAGE]), Ok(3 * PAGE));
            let full = tokio::time::timeout(Duration::from_millis(50), relays.full());
            assert!(full.await.is_err(), "it was written");
            let mut taken = 0;
            while taken < MOST {
                taken += read(&disk, &mut [0; PAGE]).unwrap();
            }
            assert!(relays.full().await.is_ok());
            relays.drain(true).await;
            assert!(relays.are_over());
            assert_eq!(read(&disk, &mut [0; PAGE]), Ok(0));
            assert_eq!(write(&given, &[7]), Err(Errno::PIPE));
        });
    }
}
