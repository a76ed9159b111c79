//! Carrying the command's output to the files it was meant for, up to a limit.

use super::channel::watched;
use super::error::StartError;
use super::stdio::{Relay, carry};
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Read at once: as much as a pipe holds.
const CHUNK: usize = 64 << 10;
/// How long what a dead sandbox left in its pipes may take to be written.
const DRAIN: Duration = Duration::from_secs(10);

/// The streams that are carried.
pub(crate) struct Relays {
    tasks: Vec<JoinHandle<()>>,
    full: Arc<Notify>,
}

impl Relays {
    /// Begins to carry; `most` bytes of all streams together.
    ///
    /// # Errors
    /// Where a pipe cannot be waited on.
    pub(crate) fn start(relays: Vec<Relay>, most: Option<u64>) -> Result<Self, StartError> {
        let left = Arc::new(AtomicU64::new(most.unwrap_or(u64::MAX)));
        let full = Arc::new(Notify::new());
        let mut tasks = Vec::new();
        for relay in relays {
            let watched = watched(relay.from)?;
            let to = relay.to;
            let (left, full) = (Arc::clone(&left), Arc::clone(&full));
            tasks.push(tokio::spawn(async move {
                let mut buffer = vec![0; CHUNK];
                loop {
                    let Ok(mut ready) = watched.readable().await else { return };
                    let room = left.load(Ordering::Relaxed);
                    match carry(watched.get_ref(), &to, &mut buffer, room) {
                        Ok(Some(carried)) => {
                            left.fetch_sub(carried, Ordering::Relaxed);
                        }
                        Ok(None) => return,
                        Err(Errno::AGAIN) => ready.clear_ready(),
                        // The limit: closing the pipe tells the command, as a reader that left would.
                        Err(_) => return full.notify_one(),
                    }
                }
            }));
        }
        Ok(Self { tasks, full })
    }

    /// Ready when the limit is reached, or a file takes no more.
    pub(crate) async fn full(&self) {
        self.full.notified().await;
    }

    /// Carries what is left in the pipes of a sandbox that has ended.
    pub(crate) async fn drain(&mut self) {
        for mut task in self.tasks.drain(..) {
            if tokio::time::timeout(DRAIN, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}
