//! Rates that outlive a run: an agent that is started again has what was left of its buckets, and not full
//! ones. The broker writes each charge into a file that it is given, before the call goes on.
//!
//! ```text
//!  header   which boot, whether it was closed, when by both clocks, and the longest wait of its plan
//!  slot …   a bucket: a digest of its name, when it is as good as new, a digest of both
//! ```
//!
//! Within one boot the time of a bucket is that of a clock that nobody sets. Over a boot what is left to wait is
//! carried by the machine's clock, and not shortened where that was set back; of a file that was not closed
//! by then, nothing is left in any bucket; but nobody is in quarantine who was not known to be. No bucket is kept fuller than it can be by its own rate, so that
//! nobody waits at each start anew.

use super::{Held, LOCK};
use crate::sandbox::StartError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use sandboxd_broker::limit::kept::{self, HEADER, SLOT, Slot};
use sandboxd_broker::limit::{Buckets, Moment, Saved};
use sandboxd_broker_plan::BrokerPlan;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The folder.
pub(super) const FOLDER: &str = "limits";
/// How many runs of one name there may be at once; each has limits of its own.
const AT_ONCE: usize = 256;
/// How many buckets are kept beside those of the plan.
const MOST: usize = 4096;
/// What a file begins with.
const MAGIC: [u8; 8] = *b"limits 2";

/// The file of a run, which nobody else has. Closed with this.
#[derive(Debug)]
pub(crate) struct Limits {
    file: File,
    header: Header,
    /// Its end lets the next run have it.
    _lock: OwnedFd,
}

/// What a clock says, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Now {
    /// Since the machine started, and not set by anybody.
    boot: u64,
    /// Of the day.
    day: u64,
}

/// What stands before the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    boot_id: [u8; 16],
    /// How many slots follow.
    slots: u64,
    closed: bool,
    boot: u64,
    day: u64,
    /// How long a bucket of the plan is not as good as new at most.
    longest: u64,
}

impl Limits {
    /// The file of a run of this name, with what is left of each bucket of its plan.
    ///
    /// # Errors
    /// Where it cannot be written, or the one before is not whole.
    pub(crate) fn open(name: &str, plan: &BrokerPlan) -> Result<Self, StartError> {
        let held = Held::open(FOLDER)?;
        let (name, lock) = free(&held, name)?;
        let now = Now::look()?;
        let boot_id = boot_id()?;
        let before = match held.read(&name)? {
            None => Vec::new(),
            Some(bytes) => {
                let path = held.path(&name);
                let (header, slots) = decode(&bytes).ok_or_else(|| {
                    StartError::found("limits", path.clone()).with_remedy(format!(
                        "it is damaged or was changed, and the count of past calls is lost: find out why, then start over: rm {path}"
                    ))
                })?;
                carried(&header, boot_id, slots, now)
            }
        };
        let buckets = Buckets::new(plan);
        let longest = buckets.longest();
        let slots = merged(buckets, &before, now);
        let count = u64::try_from(slots.len()).unwrap_or(u64::MAX);
        let Now { boot, day } = now;
        let header = Header { boot_id, slots: count, closed: false, boot, day, longest };
        let slots: Vec<[u8; SLOT]> = slots.iter().map(Slot::encode).collect();
        held.replace(&name, &[&header.encode()[..], &slots.concat()].concat())?;
        let file = held
            .file(&name, OFlags::RDWR)
            .map_err(|errno| StartError::call("openat2", held.path(&name), errno))?;
        Ok(Self { file: File::from(file), header, _lock: lock })
    }
}

impl AsFd for Limits {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        // Where that fails, it is taken for one that was not closed, which gives nothing back.
        if let Ok(Now { boot, day }) = Now::look() {
            let header = Header { closed: true, boot, day, ..self.header };
            self.file.write_all_at(&header.encode(), 0).ok();
        }
    }
}

impl Now {
    fn look() -> Result<Self, StartError> {
        let nanos = |clock| {
            let time = clock_gettime(clock);
            let both = u64::try_from(time.tv_sec).ok().zip(u64::try_from(time.tv_nsec).ok());
            both.and_then(|(sec, nsec)| sec.checked_mul(1_000_000_000)?.checked_add(nsec))
                .ok_or_else(|| StartError::found("clock_gettime", "a time before all times"))
        };
        Ok(Self { boot: nanos(ClockId::Boottime)?, day: nanos(ClockId::Realtime)? })
    }
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let slots = (self.slots << 1) | u64::from(self.closed);
        let numbers = [slots, self.boot, self.day, self.longest];
        let all = MAGIC
            .into_iter()
            .chain(self.boot_id)
            .chain(numbers.into_iter().flat_map(u64::to_le_bytes));
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        // The rest is over what comes before it.
        let check = check(bytes.get(..HEADER - 8).unwrap_or_default());
        bytes.iter_mut().skip(HEADER - 8).zip(check).for_each(|(place, byte)| *place = byte);
        bytes
    }

    fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let (_, rest) = bytes.split_first_chunk::<8>()?;
        let (boot_id, rest) = rest.split_first_chunk::<16>()?;
        let (numbers, _) = rest.as_chunks::<8>();
        let [slots, boot, day, longest, _] = *numbers else { return None };
        let [slots, boot, day, longest] = [slots, boot, day, longest].map(u64::from_le_bytes);
        let closed = slots & 1 == 1;
        let header = Self { boot_id: *boot_id, slots: slots >> 1, closed, boot, day, longest };
        (header.encode() == *bytes).then_some(header)
    }
}

fn check(bytes: &[u8]) -> Vec<u8> {
    sandboxd_audit::chain::digest(bytes).into_bytes().into_iter().take(8).collect()
}

/// What is in a file; nothing where it is not whole.
fn decode(bytes: &[u8]) -> Option<(Header, Vec<Slot>)> {
    let (header, slots) = bytes.split_first_chunk::<HEADER>()?;
    let (slots, rest) = slots.as_chunks::<SLOT>();
    if !rest.is_empty() {
        return None;
    }
    let header = Header::decode(header)?;
    let slots: Option<Vec<Slot>> = slots.iter().map(Slot::decode).collect();
    let slots = slots.filter(|slots| u64::try_from(slots.len()) == Ok(header.slots))?;
    Some((header, slots))
}

/// The same buckets by the clock of now.
fn carried(header: &Header, boot_id: [u8; 16], slots: Vec<Slot>, now: Now) -> Vec<Slot> {
    if header.boot_id == boot_id {
        return slots;
    }
    let at = |slot: Slot| {
        // What was charged last is not on the disk; it can be no longer until then than this.
        let lost = if header.closed || slot.is_quarantine() { 0 } else { header.longest };
        let left = slot.full.0.saturating_sub(header.boot);
        let gone = now.day.saturating_sub(header.day);
        Moment(now.boot.saturating_add(left.saturating_sub(gone).max(lost)))
    };
    slots.into_iter().map(|slot| Slot { full: at(slot), ..slot }).collect()
}

/// The buckets of a plan first, in its order, none fuller than its rate lets it be; then others of which not
/// all is left, so that a plan that is changed and changed back gives nothing.
fn merged(mut buckets: Buckets, before: &[Slot], now: Now) -> Vec<Slot> {
    let names = buckets.keys();
    let saved: Vec<Saved> = names
        .iter()
        .filter_map(|name| {
            let known = before.iter().find(|slot| slot.key == kept::key(name))?;
            Some(Saved { key: name.clone(), full: known.full })
        })
        .collect();
    buckets.restore(&saved, Moment(now.boot));
    let own = buckets.saved().into_iter();
    let mut slots: Vec<Slot> =
        own.map(|saved| Slot { key: kept::key(&saved.key), full: saved.full }).collect();
    let others = before.iter().filter(|slot| {
        slot.full.0 > now.boot && names.iter().all(|name| kept::key(name) != slot.key)
    });
    slots.extend(others.copied().take(MOST));
    slots
}

fn boot_id() -> Result<[u8; 16], StartError> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text =
        std::fs::read_to_string(PATH).map_err(|error| StartError::io("read", PATH, &error))?;
    let digits = text.trim().replace('-', "");
    u128::from_str_radix(&digits, 16)
        .map(u128::to_be_bytes)
        .map_err(|_| StartError::found("read", PATH))
}

/// The first name that no other run has, and what keeps it so.
fn free(held: &Held, name: &str) -> Result<(String, OwnedFd), StartError> {
    for number in 1..=AT_ONCE {
        let name = if number == 1 { name.to_owned() } else { format!("{name}.{number}") };
        let lock = held.folder.file(&format!(".{name}{LOCK}"), OFlags::RDWR)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok((name, lock)),
            Err(Errno::WOULDBLOCK) => {}
            Err(errno) => return Err(StartError::call("flock", held.path(&name), errno)),
        }
    }
    Err(StartError::found("limits", format!("{AT_ONCE} runs of {name} at once")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::{Bound, Caller, Millis, Quarantine, Rate};

    const HOUR: u64 = 3_600_000_000_000;

    fn slot(name: &str, full: u64) -> Slot {
        Slot { key: kept::key(name), full: Moment(full) }
    }

    fn file() -> Vec<u8> {
        let (boot, day, longest) = (5 * HOUR, 100 * HOUR, 3 * HOUR);
        let header = Header { boot_id: [1; 16], slots: 2, closed: true, boot, day, longest };
        let slots = [slot("all", 6 * HOUR), slot("caller:a", 4 * HOUR)].map(|slot| slot.encode());
        [&header.encode()[..], &slots.concat()].concat()
    }

    #[test]
    fn what_is_cut_off_or_changed_is_not_whole() {
        let bytes = file();
        assert!(decode(&bytes).is_some());
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length}");
        }
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 0x10;
            assert_eq!(decode(&bytes), None, "{place}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_back() {
        let (header, slots) = decode(&file()).unwrap();
        let full = |boot_id, header: &Header, now| -> Vec<u64> {
            let slots = carried(header, boot_id, slots.clone(), now);
            slots.iter().map(|slot| slot.full.0).collect()
        };
        // The same boot: whatever the clock of the day says.
        for day in [0, 100 * HOUR, 1000 * HOUR] {
            let now = Now { boot: 5 * HOUR, day };
            assert_eq!(full([1; 16], &header, now), [6 * HOUR, 4 * HOUR]);
        }
        // Another: an hour was left to wait, and half of one went by.
        let now = Now { boot: 10, day: 100 * HOUR + HOUR / 2 };
        assert_eq!(full([2; 16], &header, now), [10 + HOUR / 2, 10]);
        let back = Now { boot: 10, day: 3 * HOUR };
        assert_eq!(full([2; 16], &header, back), [10 + HOUR, 10]);
        // It was not closed: nothing is left of the slowest, and of none for longer.
        let torn = Header { closed: false, ..header };
        assert_eq!(full([2; 16], &torn, now), [10 + 3 * HOUR; 2]);
        let short = Header { longest: 1, ..torn };
        assert_eq!(full([2; 16], &short, now), [10 + HOUR / 2, 11]);
        let held = ["quarantine:a", "quarantine:b"].into_iter().zip([6 * HOUR, 0]);
        let held =
            carried(&torn, [2; 16], held.map(|(name, full)| slot(name, full)).collect(), now);
        let held: Vec<u64> = held.iter().map(|slot| slot.full.0).collect();
        assert_eq!(held, [10 + HOUR / 2, 10]);
    }

    #[test]
    fn a_plan_that_is_changed_and_changed_back_gives_nothing() {
        let now = Now { boot: HOUR, day: HOUR };
        let before = [slot("caller:x", 2 * HOUR), slot("caller:y", HOUR / 2)];
        let between = merged(buckets("z", 1), &before, now);
        let own = ["all", "caller:z", "lists:z", "quarantine:z"].map(|name| slot(name, 0));
        assert_eq!(between, [&own[..], &before[..1]].concat());
        let after = merged(buckets("x", 1), &between, now);
        let rest = ["lists:x", "quarantine:x"].map(|name| slot(name, 0));
        assert_eq!(after, [&[slot("all", 0), slot("caller:x", 2 * HOUR)], &rest[..]].concat());
    }

    /// Each start would else empty the bucket anew, until a call came later than the longest wait.
    #[test]
    fn whoever_lost_what_was_left_waits_once_and_not_at_each_start() {
        let now = Now { boot: HOUR, day: HOUR };
        let lost = [slot("caller:x", u64::MAX), slot("all", u64::MAX), slot("gone", HOUR)];
        let first = merged(buckets("x", 1), &lost, now);
        let rest = ["lists:x", "quarantine:x"].map(|name| slot(name, 0));
        assert_eq!(first, [&[slot("all", HOUR), slot("caller:x", 2 * HOUR)], &rest[..]].concat());
        let later = Now { boot: 2 * HOUR, ..now };
        let mut second = buckets("x", 1);
        assert_eq!(merged(buckets("x", 1), &first, later), first);
        let saved = first.iter().map(|slot| slot.full);
        let saved = second.keys().into_iter().zip(saved).map(|(key, full)| Saved { key, full });
        second.restore(&saved.collect::<Vec<_>>(), Moment(later.boot));
        let taken = [sandboxd_broker::limit::Slot::All, sandboxd_broker::limit::Slot::Caller(0)];
        assert!(second.take(&taken, Moment(later.boot)).is_ok());
    }

    /// Those of a plan in which one calls, and so often an hour.
    fn buckets(caller: &str, count: u32) -> Buckets {
        let rate = Rate::Per { count, period: Millis(HOUR / 1_000_000), burst: count };
        Buckets::new(&BrokerPlan {
            version: sandboxd_broker_plan::VERSION,
            id: String::new(),
            generation: 1,
            limits: sandboxd_broker_plan::Limits {
                rate: Rate::Unlimited,
                in_flight: Bound::Unlimited,
                hops: 1,
                strikes: 1,
                progress: Rate::Unlimited,
            },
            callers: vec![Caller {
                name: caller.try_into().unwrap(),
                rate,
                lists: Rate::Unlimited,
                connections: 1,
                calls: Bound::Unlimited,
                quarantine: Quarantine { denials: 1, window: Millis(1), length: Millis(1) },
                secrets: Vec::new(),
            }],
            callees: Vec::new(),
            edges: Vec::new(),
        })
    }
}
