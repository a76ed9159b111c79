//! Who writes a log, and when it reaches the disk.
//!
//! A record is in the kernel's hands when [`Writer::append`] returns: whatever becomes of this process,
//! it is in the file. A thread brings it to the disk: all that was written within 20 ms together, or
//! at once where somebody waits for it. The same thread opens the log, so that nobody waits for that
//! but the first record, and closes what killed supervisors left.

use crate::error::{AuditError, Unwritten};
use crate::files;
use crate::folder::Folder;
use crate::log::{Log, Measures};
use crate::record::Record;
use crate::recover;
use crate::redact::Redactor;
use crate::time::Stamp;
use rustix::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long records are gathered before they are brought to the disk together.
const GATHER: Duration = Duration::from_millis(20);
/// How long a record goes without a checkpoint.
const SIGN: Duration = Duration::from_secs(10);
/// How long logs are kept where nobody says otherwise.
pub const KEEP: Duration = Duration::from_secs(7 * 86_400);

/// When a record must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// With those that are written in the same 20 ms.
    Grouped,
    /// At once: somebody waits for it before the next thing is done.
    Durable,
}

/// Writes the log of this process. Dropped without [`Writer::close`], the log is closed by the next
/// supervisor, as that of one that was killed.
pub struct Writer {
    shared: Arc<Shared>,
}

/// A record that is written, and may not be on the disk yet.
#[derive(Debug)]
#[must_use]
pub struct Commit {
    shared: Arc<Shared>,
    number: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// For the thread: there is something to do.
    work: Condvar,
    /// For all others: something was done.
    done: Condvar,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    redactor: Redactor,
    /// How often records were written, one or several, and up to which of these times they are on the disk.
    written: u64,
    committed: u64,
    /// Since when records wait to be brought to the disk, and whether somebody waits for it.
    since: Option<Instant>,
    hurry: bool,
    /// Why a commit failed. The kernel tells that once and then takes the pages for written
    /// (fsync(2)), so that nothing of this log can be relied on to be on the disk any more.
    failed: Option<AuditError>,
    /// How it went to close what dead supervisors left and to remove what was kept long enough, once that was tried.
    tended: Option<Result<(), AuditError>>,
    /// When the oldest record that no checkpoint is about was written.
    unsigned: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Opening,
    Open(Box<Log>),
    Refused(AuditError),
    Closed,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Writer")
    }
}

impl Writer {
    /// Begins a log in the folder that `open` finds, in a thread.
    ///
    /// # Errors
    /// Where no thread can be started. Whether the log can be opened is told by [`Writer::ready`].
    pub fn begin(
        open: impl FnOnce() -> Result<Folder, AuditError> + Send + 'static,
    ) -> Result<Self, AuditError> {
        let state = State {
            phase: Phase::Opening,
            redactor: Redactor::default(),
            written: 0,
            committed: 0,
            since: None,
            hurry: false,
            failed: None,
            tended: None,
            unsigned: None,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(String::from("audit"))
            .spawn(move || work(&own, open))
            .map_err(|error| AuditError::io("clone3", "a thread", &error))?;
        Ok(Self { shared })
    }

    /// Takes these secrets out of every record from now on.
    pub fn redact(&self, redactor: Redactor) {
        self.shared.lock().redactor = redactor;
    }

    /// Waits until the log is open, and says in which folder.
    ///
    /// # Errors
    /// Where it could not be.
    pub fn ready(&self) -> Result<String, AuditError> {
        match &self.shared.opened()?.phase {
            Phase::Open(log) => Ok(log.folder().label().to_owned()),
            Phase::Opening | Phase::Refused(_) | Phase::Closed => Err(closed()),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn append(&self, record: Record, durability: Durability) -> Result<Commit, AuditError> {
        Ok(self.append_all(vec![record], durability)?)
    }

    /// Adds records.
    ///
    /// # Errors
    /// Where some of them cannot be written. All others are.
    pub fn append_all(
        &self,
        records: Vec<Record>,
        durability: Durability,
    ) -> Result<Commit, Unwritten> {
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let none = |why| Unwritten { records: count, why };
        let mut state = self.shared.opened().map_err(none)?;
        let fit = |record: Record| record.fit(&state.redactor);
        let records: Vec<Record> = records.into_iter().map(fit).collect();
        let Phase::Open(log) = &mut state.phase else { return Err(none(closed())) };
        let written = log.append_all(&records);
        if let Err(all) = &written
            && all.records >= count
        {
            return Err(all.clone());
        }
        let unsigned = log.is_unsigned();
        let now = Instant::now();
        let hurries = durability == Durability::Durable && !state.hurry;
        // Whoever brings them to the disk knows of the others, and need not be woken for each.
        let wakes = hurries || state.since.is_none() || (unsigned && state.unsigned.is_none());
        state.unsigned = if unsigned { state.unsigned.or(Some(now)) } else { None };
        state.written += 1;
        state.since.get_or_insert(now);
        state.hurry |= hurries;
        let number = state.written;
        if wakes {
            self.shared.work.notify_one();
        }
        written.map(|()| Commit { shared: Arc::clone(&self.shared), number })
    }

    /// Whether all that was written could be brought to the disk, as far as is known.
    ///
    /// # Errors
    /// Why not.
    pub fn held(&self) -> Result<(), AuditError> {
        self.shared.lock().failed.clone().map_or(Ok(()), Err)
    }

    /// What kept this supervisor from closing what dead ones left or from removing what was kept long enough, as far
    /// as it has come with that. A record is not held up by it, and the next supervisor tries again.
    #[must_use]
    pub fn untended(&self) -> Option<AuditError> {
        self.shared.lock().tended.clone()?.err()
    }

    /// The same, once all of that was tried; nothing where the log could not be opened.
    #[must_use]
    pub fn tended(&self) -> Option<AuditError> {
        let mut state = self.shared.lock();
        loop {
            match (&state.tended, &state.phase) {
                (Some(tended), _) => return tended.clone().err(),
                (None, Phase::Refused(_)) => return None,
                (None, Phase::Opening | Phase::Open(_) | Phase::Closed) => {
                    state = wait(&self.shared.done, state);
                }
            }
        }
    }

    /// How long the oldest record waits that is not on the disk, and the oldest that no checkpoint is about.
    #[must_use]
    pub fn waits(&self) -> [Duration; 2] {
        let state = self.shared.lock();
        [state.since, state.unsigned].map(|since| since.map_or(Duration::ZERO, |at| at.elapsed()))
    }

    /// When records were signed last; nothing before the first checkpoint of this log, and once it is closed.
    #[must_use]
    pub fn signed(&self) -> Option<Stamp> {
        match &self.shared.lock().phase {
            Phase::Open(log) => log.signed(),
            Phase::Opening | Phase::Refused(_) | Phase::Closed => None,
        }
    }

    /// Ends the log: signed, and its end in the index. It is on the disk when the kernel next writes
    /// what it holds, or when a commit that is waited for was made before.
    ///
    /// # Errors
    /// Where that cannot be written, or a record before could not be brought to the disk.
    pub fn close(&self) -> Result<(), AuditError> {
        let mut state = self.shared.opened()?;
        let phase = std::mem::replace(&mut state.phase, Phase::Closed);
        self.shared.work.notify_one();
        let failed = state.failed.take();
        drop(state);
        match (phase, failed) {
            (Phase::Open(log), None) => log.close(),
            (Phase::Open(log), Some(failed)) => log.close().and(Err(failed)),
            (Phase::Opening | Phase::Refused(_) | Phase::Closed, _) => Err(closed()),
        }
    }
}

impl Commit {
    /// Waits until the record, and all before it, are on the disk.
    ///
    /// # Errors
    /// Where they could not be brought there.
    pub fn wait(self) -> Result<(), AuditError> {
        let mut state = self.shared.lock();
        loop {
            if state.committed >= self.number {
                return Ok(());
            }
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if let Phase::Closed = state.phase {
                return Err(closed());
            }
            state = wait(&self.shared.done, state);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked ends the process.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, once the log is open.
    fn opened(&self) -> Result<MutexGuard<'_, State>, AuditError> {
        let mut state = self.lock();
        loop {
            match &state.phase {
                Phase::Opening => state = wait(&self.done, state),
                Phase::Refused(error) => return Err(error.clone()),
                Phase::Open(_) | Phase::Closed => return Ok(state),
            }
        }
    }
}

fn wait<'a>(on: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    on.wait(state).unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> AuditError {
    AuditError::found("append", "a log that is closed", "report this: it is a bug in sandboxd")
}

/// The thread.
fn work(shared: &Shared, open: impl FnOnce() -> Result<Folder, AuditError>) {
    let log = open().and_then(|folder| Log::begin(folder, Measures::default()));
    let folder = log.as_ref().ok().map(|log| log.folder().again());
    let mut state = shared.lock();
    state.phase = log.map_or_else(Phase::Refused, |log| Phase::Open(Box::new(log)));
    shared.done.notify_all();
    drop(state);
    let Some(folder) = folder else { return };
    // What cannot be done now is for the next, and no fault of this one, which says that it was left.
    let tended = folder.and_then(|folder| tend(&folder));
    shared.lock().tended = Some(tended);
    shared.done.notify_all();
    while let Some(files) = due(shared) {
        commit(shared, files);
    }
}

/// Closes what dead supervisors left, and removes what was kept long enough.
fn tend(folder: &Folder) -> Result<(), AuditError> {
    let recovered = recover::recover(folder);
    // Or one dead log would keep all that ever ended.
    let expired = recover::expire(folder, Stamp::now(), folder.keep());
    recovered.and(expired)
}

/// What is to be synced, once something is; nothing once the log is closed. Signs what has waited
/// long enough for it.
fn due(shared: &Shared) -> Option<(u64, Vec<Arc<OwnedFd>>)> {
    let mut state = shared.lock();
    loop {
        let now = Instant::now();
        let sign = state.unsigned.map(|since| since + SIGN);
        let sync = state.since.map(|since| if state.hurry { now } else { since + GATHER });
        let number = state.written;
        let Phase::Open(log) = &mut state.phase else { return None };
        if sign.is_some_and(|sign| sign <= now) {
            // What cannot be signed now is signed with the next; the next record that cannot be
            // written says why.
            log.checkpoint().ok();
            state.unsigned = None;
            continue;
        }
        if sync.is_some_and(|sync| sync <= now) {
            let files = log.unsynced();
            state.since = None;
            state.hurry = false;
            return Some((number, files));
        }
        state = match sign.into_iter().chain(sync).min() {
            None => wait(&shared.work, state),
            Some(until) => {
                let left = until.saturating_duration_since(now);
                let woken = shared.work.wait_timeout(state, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

fn commit(shared: &Shared, (number, unsynced): (u64, Vec<Arc<OwnedFd>>)) {
    let synced = unsynced.iter().try_for_each(|file| files::sync(file));
    let mut state = shared.lock();
    match synced {
        Ok(()) if state.failed.is_none() => state.committed = number,
        Ok(()) => {}
        Err(errno) => {
            state.failed = Some(AuditError::call("fdatasync", "the audit log", errno));
        }
    }
    shared.done.notify_all();
}
