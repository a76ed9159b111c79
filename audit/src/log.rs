//! The log of one supervisor: its segments, one after the other.

use crate::chain::Hash;
use crate::error::{AuditError, Unwritten};
use crate::files::Appended;
use crate::folder::{Folder, LIVE};
use crate::index::{Closed, Index, Opened};
use crate::note::Key;
use crate::record::{Kind, Record};
use crate::segment::{self, Gap, Header, Rotated, Segment, telling};
use crate::time::Stamp;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When a segment is full, and how many records go without a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measures {
    /// Bytes of a segment, beyond which another is begun.
    pub bytes: u64,
    /// How long a segment, and its key, is used.
    pub age: Duration,
    /// Records without a checkpoint.
    pub unsigned: u64,
}

impl Default for Measures {
    fn default() -> Self {
        Self { bytes: 64 << 20, age: Duration::from_secs(86_400), unsigned: 1000 }
    }
}

/// A log that is written. There is one writer: the file is locked for as long as it is open.
pub struct Log {
    folder: Folder,
    live: Folder,
    name: String,
    measures: Measures,
    segment: Segment,
    number: u32,
    began: Instant,
    seq: u64,
    last: Hash,
    /// When records were signed last.
    signed: Option<Stamp>,
    /// Records that could not be written since the last that was.
    gap: u64,
    /// What must reach the disk once, beside the segment.
    fresh: Vec<Arc<OwnedFd>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Log {}, record {}", self.name, self.seq)
    }
}

impl Log {
    /// Begins a log of this process's.
    ///
    /// # Errors
    /// Where a file cannot be made or written.
    pub fn begin(folder: Folder, measures: Measures) -> Result<Self, AuditError> {
        let live = folder.dir(LIVE)?;
        let key = make_key()?;
        let name = name()?;
        let mut index = Index::lock(&folder)?;
        let file = create(&live, &name, 0)?;
        let opened = Opened { log: name.clone(), key: key.public() };
        let opened = telling(Kind::LogOpened, &opened);
        let last = match opened.and_then(|opened| index.append(&opened)) {
            Ok(last) => last,
            Err(error) => {
                // What is told is why it could not be begun.
                live.remove(&segment::file_name(&name, 0)).ok();
                return Err(error);
            }
        };
        let mut fresh = vec![index.shared()];
        drop(index);
        fresh.extend([Arc::new(live.shared()?), Arc::new(folder.shared()?)]);
        let header = header(&name, 0, key.public());
        let mut segment = Segment::new(file, key, segment::origin(&name, 0));
        let last = segment.append(0, &[telling(Kind::Header, &header)?], last)?;
        let began = Instant::now();
        let number = 0;
        Ok(Self {
            folder,
            live,
            name,
            measures,
            segment,
            number,
            began,
            seq: 1,
            last,
            signed: None,
            gap: 0,
            fresh,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of all logs.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Where it cannot be written; it is counted, and told once another can.
    pub fn append(&mut self, record: &Record) -> Result<(), AuditError> {
        Ok(self.append_all(std::slice::from_ref(record))?)
    }

    /// Adds records, as many at a time as can be.
    ///
    /// # Errors
    /// Where some cannot be written; they are counted, and told once others can.
    pub fn append_all(&mut self, records: &[Record]) -> Result<(), Unwritten> {
        let (mut left, mut most) = (records, usize::MAX);
        let mut unwritten = None;
        while !left.is_empty() {
            if let Err(why) = self.make_ready() {
                self.lose(left.len(), why, &mut unwritten);
                break;
            }
            let (now, later) = left.split_at(self.until_signed().min(most).min(left.len()));
            match self.add(now) {
                Ok(()) => left = later,
                // Where they cannot be written together, each is tried by itself.
                Err(_) if now.len() > 1 => {
                    most = 1;
                    continue;
                }
                Err(why) => {
                    self.lose(1, why, &mut unwritten);
                    left = later;
                }
            }
            if self.segment.unsigned() >= self.measures.unsigned {
                // What cannot be signed now is signed with the next.
                self.checkpoint().ok();
            }
        }
        unwritten.map_or(Ok(()), Err)
    }

    /// Begins another segment where it is time for it, and tells of what was lost.
    fn make_ready(&mut self) -> Result<(), AuditError> {
        if self.segment.length() >= self.measures.bytes || self.began.elapsed() >= self.measures.age
        {
            self.rotate()?;
        }
        if self.gap > 0 {
            self.add(&[telling(Kind::Gap, &Gap { records: self.gap })?])?;
            self.gap = 0;
        }
        Ok(())
    }

    /// How many records there may be before the next checkpoint; one at least.
    fn until_signed(&self) -> usize {
        let until = self.measures.unsigned.saturating_sub(self.segment.unsigned()).max(1);
        usize::try_from(until).unwrap_or(usize::MAX)
    }

    fn lose(&mut self, records: usize, why: AuditError, unwritten: &mut Option<Unwritten>) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.gap += records;
        let before = unwritten.as_ref().map_or(0, |unwritten| unwritten.records);
        *unwritten = Some(Unwritten { records: before + records, why });
    }

    fn add(&mut self, records: &[Record]) -> Result<(), AuditError> {
        self.last = self.segment.append(self.seq, records, self.last)?;
        self.seq += u64::try_from(records.len()).unwrap_or(0);
        Ok(())
    }

    /// Signs all records of the segment so far.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn checkpoint(&mut self) -> Result<(), AuditError> {
        self.last = self.segment.checkpoint(self.seq, self.last)?;
        self.seq += 1;
        self.signed = Some(Stamp::now());
        Ok(())
    }

    /// When records of this log were signed last.
    #[must_use]
    pub const fn signed(&self) -> Option<Stamp> {
        self.signed
    }

    /// Whether there are records that no checkpoint is about.
    #[must_use]
    pub const fn is_unsigned(&self) -> bool {
        self.segment.unsigned() > 0
    }

    /// Begins another segment, with a key that the one before vouches for.
    fn rotate(&mut self) -> Result<(), AuditError> {
        let number = self.number + 1;
        let key = make_key()?;
        let file = match create(&self.live, &self.name, number) {
            Ok(file) => file,
            // Left by an attempt that went no further.
            Err(error) if error.errno == rustix::io::Errno::EXIST.raw_os_error() => {
                self.live.remove(&segment::file_name(&self.name, number))?;
                create(&self.live, &self.name, number)?
            }
            Err(error) => return Err(error),
        };
        self.add(&[telling(Kind::Rotated, &Rotated { segment: number, key: key.public() })?])?;
        self.checkpoint()?;
        let header = header(&self.name, number, key.public());
        let next = Segment::new(file, key, segment::origin(&self.name, number));
        let whole = std::mem::replace(&mut self.segment, next);
        self.number = number;
        self.began = Instant::now();
        self.fresh.extend([whole.shared(), Arc::new(self.live.shared()?)]);
        self.add(&[telling(Kind::Header, &header)?])?;
        self.put_away(number - 1, &Stamp::now().day())
    }

    /// Moves a segment that is whole to those of a day.
    fn put_away(&self, number: u32, day: &str) -> Result<(), AuditError> {
        self.live.rename(&segment::file_name(&self.name, number), &self.folder.dir(day)?)
    }

    /// Ends the log: its last records are written and signed, and its end stands in the index.
    ///
    /// # Errors
    /// Where that cannot be written. The log is then closed by whoever sweeps up.
    pub fn close(mut self) -> Result<(), AuditError> {
        if self.gap > 0 {
            self.add(&[telling(Kind::Gap, &Gap { records: self.gap })?])?;
        }
        self.add(&[Record::of(Kind::Closed)])?;
        self.checkpoint()?;
        let day = Stamp::now().day();
        let closed = Closed {
            log: self.name.clone(),
            day: day.clone(),
            segments: self.number + 1,
            records: self.seq,
            last: self.last.to_string(),
            cut_bytes: 0,
        };
        let mut index = Index::lock(&self.folder)?;
        // Named there first: it is looked for in both places.
        index.append(&telling(Kind::LogClosed, &closed)?)?;
        self.put_away(self.number, &day)
    }

    /// What has to be synced for all records so far to be on the disk.
    pub(crate) fn unsynced(&mut self) -> Vec<Arc<OwnedFd>> {
        let mut files = std::mem::take(&mut self.fresh);
        files.push(self.segment.shared());
        files
    }
}

fn make_key() -> Result<Key, AuditError> {
    Key::make().map_err(|errno| AuditError::call("getrandom", "a key", errno))
}

/// Names sort by time, and no two are alike.
fn name() -> Result<String, AuditError> {
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| AuditError::call("getrandom", "a name", errno))?;
    let random = crate::encode::hex(&random);
    Ok(format!("{}-{}-{random}", Stamp::now().name(), std::process::id()))
}

/// A new file, which only this process writes. The lock of the index is held, or the name known to
/// nobody, so that no sweep takes it for a dead one's.
fn create(live: &Folder, log: &str, number: u32) -> Result<Appended, AuditError> {
    let name = segment::file_name(log, number);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let file = Appended::new(live.file(&name, flags)?, live.path(&name))?;
    file.lock()?;
    Ok(file)
}

fn header(log: &str, segment: u32, key: String) -> Header {
    let read = |path| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    // The kernel says -1 where nobody logged in.
    let login = read("/proc/self/loginuid").ok().and_then(|text| text.parse().ok());
    Header {
        log: log.to_owned(),
        segment,
        key,
        boot: read("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        pid: std::process::id(),
        uid: rustix::process::getuid().as_raw(),
        loginuid: login.filter(|uid| *uid != u32::MAX),
        sandboxd: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
