//! What is waited for: epoll(7). A stream is asked about anew only where that is something else than before, so
//! that a turn takes what is ready, however many are connected.

use super::{Whose, stream::Stream};
use crate::relay::{ConnectionId, InstanceId};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};
use std::{
    collections::BTreeMap,
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

/// Which descriptor of a stream: what is read comes before what is said of the other one, as that whoever is
/// there is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// To read from.
    Input,
    /// To write to, and to read from where there is one for both.
    Output,
}

/// What a wait came to: whether the owner has something to say, and secrets have come; and which streams are ready,
/// for what.
#[derive(Default)]
pub(super) struct Woken {
    pub(super) owner: bool,
    pub(super) keys: bool,
    pub(super) ready: Vec<(Whose, End, EventFlags)>,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Waits {
    epoll: OwnedFd,
    /// Whether the owner is listened to.
    listens: bool,
    /// Files, which epoll(7) does not take, and poll(2) takes for ready at any time.
    files: BTreeMap<(Whose, End), EventFlags>,
}

/// The owner's and the secrets' own; no stream has these.
const OWNER: u64 = 3;
const KEYS: u64 = 7;

impl Waits {
    /// # Errors
    /// Where there is no descriptor to be had.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, listens: false, files: BTreeMap::new() })
    }

    /// From here on it is told when the owner has something to say.
    pub(super) fn listen(&mut self, owner: BorrowedFd<'_>) -> io::Result<()> {
        if !self.listens {
            epoll::add(&self.epoll, owner, EventData::new_u64(OWNER), EventFlags::IN)?;
            self.listens = true;
        }
        Ok(())
    }

    /// And when secrets come here; false where the kernel has no room for one more.
    pub(super) fn secrets(&self, line: BorrowedFd<'_>) -> io::Result<bool> {
        match epoll::add(&self.epoll, line, EventData::new_u64(KEYS), EventFlags::IN) {
            Ok(()) => Ok(true),
            Err(Errno::NOSPC | Errno::NOMEM) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// No longer.
    pub(super) fn no_secrets(&self, line: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, line)?)
    }

    /// Asks for what is waited for of a stream from here on; nothing of one that is let go of, whose descriptors
    /// others may hold too, for whom epoll(7) would go on. False where the kernel has no room for one more, of which
    /// it keeps count for each user (`fs.epoll.max_user_watches`): then that stream alone cannot be carried.
    ///
    /// # Errors
    /// Where what was asked for before stays so.
    pub(super) fn ask(
        &mut self,
        whose: Whose,
        stream: &mut Stream,
        wanted: [Option<EventFlags>; 2],
    ) -> io::Result<bool> {
        for (end, wanted) in [End::Input, End::Output].into_iter().zip(wanted) {
            let asked = std::mem::replace(stream.asked(end), wanted);
            if asked == wanted {
                continue;
            }
            let fd = match end {
                End::Input => stream.input(),
                End::Output => stream.output(),
            };
            let data = EventData::new_u64(number(whose, end));
            let place = (whose, end);
            match (asked, wanted) {
                (None, Some(flags)) => match epoll::add(&self.epoll, fd, data, flags) {
                    Err(Errno::PERM) => {
                        self.files.insert(place, flags);
                    }
                    Err(Errno::NOSPC | Errno::NOMEM) => {
                        *stream.asked(end) = None;
                        return Ok(false);
                    }
                    added => added?,
                },
                (Some(_), Some(flags)) => match self.files.get_mut(&place) {
                    Some(file) => *file = flags,
                    None => epoll::modify(&self.epoll, fd, data, flags)?,
                },
                (Some(_), None) if self.files.remove(&place).is_none() => {
                    epoll::delete(&self.epoll, fd)?;
                }
                (Some(_) | None, None) => {}
            }
        }
        Ok(true)
    }

    /// Waits until something happens, but no longer than this, and not at all for a file. It may be told of all of
    /// so many streams at once: what is told of both descriptors of one belongs together.
    pub(super) fn wait(&self, streams: usize, timeout: Option<Timespec>) -> io::Result<Woken> {
        let files = self.files.iter().filter(|(_, flags)| !flags.is_empty());
        let files = files.map(|((whose, end), flags)| (*whose, *end, *flags));
        let mut woken = Woken { ready: files.collect(), ..Woken::default() };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timeout = if woken.ready.is_empty() { timeout } else { Some(at_once) };
        let mut events: Vec<Event> = Vec::with_capacity(2 * streams + 8);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Woken::default()),
            Err(errno) => return Err(errno.into()),
        }
        for Event { flags, data, .. } in events {
            match data.u64() {
                OWNER => woken.owner = true,
                KEYS => woken.keys = true,
                number => {
                    let of = stream(number);
                    woken.ready.extend(of.map(|(whose, end)| (whose, end, flags)));
                }
            }
        }
        woken.ready.sort_unstable_by_key(|(whose, end, _)| (*whose, *end));
        Ok(woken)
    }
}

/// A stream as a number. Whoever numbers streams begins at nothing, and does not come to where this has no room.
fn number(whose: Whose, end: End) -> u64 {
    let (kind, id) = match whose {
        Whose::Callee(InstanceId(id)) => (0, id),
        Whose::Caller(ConnectionId(id)) => (1, id),
        Whose::Approver(id) => (2, u64::from(id)),
    };
    let end = match end {
        End::Input => 0,
        End::Output => 4,
    };
    (id << 3) | end | kind
}

fn stream(number: u64) -> Option<(Whose, End)> {
    let id = number >> 3;
    let whose = match number & 3 {
        0 => Whose::Callee(InstanceId(id)),
        1 => Whose::Caller(ConnectionId(id)),
        2 => Whose::Approver(u32::try_from(id).ok()?),
        _ => return None,
    };
    Some((whose, if number & 4 == 0 { End::Input } else { End::Output }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_a_number_of_its_own() {
        let ids = [0, 1, u64::from(u32::MAX)];
        let mut numbers = vec![OWNER, KEYS];
        for id in ids {
            let approver = u32::try_from(id).unwrap();
            for whose in [
                Whose::Callee(InstanceId(id)),
                Whose::Caller(ConnectionId(id)),
                Whose::Approver(approver),
            ] {
                for end in [End::Input, End::Output] {
                    assert_eq!(stream(number(whose, end)), Some((whose, end)));
                    numbers.push(number(whose, end));
                }
            }
        }
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
        assert_eq!((stream(OWNER), stream(KEYS)), (None, None));
    }
}
