//! What broker and supervisor say to each other: a closed list of messages of one size, one a packet,
//! some with descriptors; and the broker's records, of another size. Nothing that an agent wrote is in
//! any of them.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut, Result, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use sandboxd_broker::limit::Position;
use sandboxd_broker_plan::meant::Meant;
use sandboxd_broker_plan::record::{self, Record};
use sandboxd_broker_plan::seen::Seen;
use sandboxd_broker_plan::words::{self, Words};
use std::mem::MaybeUninit;

/// Bytes of every message: what it is, and four numbers.
const SIZE: usize = 40;

/// A message of the supervisor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// What is left of buckets is kept in the file that comes with this; said first of all.
    Limits,
    /// Somebody connected, by the stream that comes with this.
    Opened {
        /// The connection's number, which no other ever has.
        connection: u64,
        /// Who it is: a place among the plan's callers.
        caller: u64,
        /// The instance that it is; 0 where it is none.
        behalf: u64,
    },
    /// What stands for the placeholders of whoever this is comes by the socket that comes with this.
    Secrets {
        /// Who it is: a place among the plan's callers.
        caller: u64,
        /// The instance that it is; 0 where it is none.
        behalf: u64,
    },
    /// An instance runs: what it writes is read from the first pipe that comes with this, and what is written to the
    /// second it reads.
    Started(u64),
    /// An instance ended, or cannot be started.
    Ended(u64),
    /// Somebody who may approve calls, of this number, is at the stream that comes with this.
    Approver(u32),
    /// The record that a call waits for.
    Recorded {
        /// The call.
        call: u64,
        /// Whether it is on the disk.
        written: bool,
    },
    /// This edge is taken back: a place among the plan's.
    Revoked(u64),
}

/// A message of the broker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// An instance is wanted.
    Start {
        /// The number it will have.
        instance: u64,
        /// Over which edge: a place among the plan's.
        edge: u64,
        /// For which connection.
        connection: u64,
    },
    /// An instance is not needed any more.
    Stop(u64),
    /// A connection was closed.
    Closed(u64),
    /// So many calls wait for somebody to approve them.
    Waits(u64),
    /// What a callee has before it.
    Load {
        /// Which: a place among the plan's.
        callee: u64,
        /// Calls that wait for their turn.
        waiting: u64,
        /// Its breaker.
        breaker: Position,
    },
    /// This edge is taken back, and nothing goes over it any more: a place among the plan's.
    Revoked(u64),
}

/// A packet, and the descriptors that came with it.
pub(crate) type Packet = ([u64; 5], Vec<OwnedFd>);

/// As many come with one.
const MOST: usize = 2;

impl Told {
    /// Says it, with its descriptors where it has some. Does not wait.
    ///
    /// # Errors
    /// Where the broker is gone (`EPIPE`), or does not read (`EAGAIN`).
    pub(crate) fn say(self, to: BorrowedFd<'_>, with: &[BorrowedFd<'_>]) -> Result<()> {
        let numbers = match self {
            Self::Opened { connection, caller, behalf } => [1, connection, caller, behalf, 0],
            Self::Started(instance) => [2, instance, 0, 0, 0],
            Self::Ended(instance) => [3, instance, 0, 0, 0],
            Self::Approver(number) => [4, u64::from(number), 0, 0, 0],
            Self::Recorded { call, written } => [5, call, u64::from(written), 0, 0],
            Self::Limits => [6, 0, 0, 0, 0],
            Self::Secrets { caller, behalf } => [7, caller, behalf, 0, 0],
            Self::Revoked(edge) => [8, edge, 0, 0, 0],
        };
        send(to, &packet(numbers), with, SendFlags::DONTWAIT)
    }

    /// Says it, and waits so long for room: the kernel keeps ten packets (`net.unix.max_dgram_qlen`).
    ///
    /// # Errors
    /// As [`Told::say`].
    pub(crate) fn say_within(
        self,
        to: BorrowedFd<'_>,
        with: &[BorrowedFd<'_>],
        within: Timespec,
    ) -> Result<()> {
        let waits = |to: BorrowedFd<'_>| {
            retry_on_intr(|| {
                poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], Some(&within))
            })
        };
        match self.say(to, with) {
            Err(Errno::AGAIN) if waits(to)? > 0 => self.say(to, with),
            said => said,
        }
    }

    /// The message in a packet; nothing where it is none, or lacks its descriptors.
    pub(crate) fn heard((numbers, with): Packet) -> Option<(Self, [Option<OwnedFd>; MOST])> {
        let told = match numbers {
            [1, connection, caller, behalf, 0] => Self::Opened { connection, caller, behalf },
            [2, instance, 0, 0, 0] => Self::Started(instance),
            [3, instance, 0, 0, 0] => Self::Ended(instance),
            [4, number, 0, 0, 0] => Self::Approver(number.try_into().ok()?),
            [5, call, written @ (0 | 1), 0, 0] => Self::Recorded { call, written: written == 1 },
            [6, 0, 0, 0, 0] => Self::Limits,
            [7, caller, behalf, 0, 0] => Self::Secrets { caller, behalf },
            [8, edge, 0, 0, 0] => Self::Revoked(edge),
            _ => return None,
        };
        let needed = match told {
            Self::Started(_) => 2,
            Self::Opened { .. } | Self::Secrets { .. } | Self::Approver(_) | Self::Limits => 1,
            Self::Ended(_) | Self::Recorded { .. } | Self::Revoked(_) => 0,
        };
        let fits = with.len() == needed;
        let mut with = with.into_iter();
        fits.then(|| (told, [with.next(), with.next()]))
    }
}

impl Wish {
    /// Says it, and waits for room.
    ///
    /// # Errors
    /// Where the supervisor is gone (`EPIPE`).
    pub(crate) fn say(self, to: BorrowedFd<'_>) -> Result<()> {
        let numbers = match self {
            Self::Start { instance, edge, connection } => [16, instance, edge, connection, 0],
            Self::Stop(instance) => [17, instance, 0, 0, 0],
            Self::Closed(connection) => [18, connection, 0, 0, 0],
            Self::Waits(calls) => [19, calls, 0, 0, 0],
            Self::Load { callee, waiting, breaker } => [20, callee, waiting, breaker.number(), 0],
            Self::Revoked(edge) => [21, edge, 0, 0, 0],
        };
        send(to, &packet(numbers), &[], SendFlags::empty())
    }

    /// The message in a packet; nothing where it is none.
    fn heard((numbers, with): Packet) -> Option<Self> {
        let wish = match numbers {
            [16, instance, edge, connection, 0] => Self::Start { instance, edge, connection },
            [17, instance, 0, 0, 0] => Self::Stop(instance),
            [18, connection, 0, 0, 0] => Self::Closed(connection),
            [19, calls, 0, 0, 0] => Self::Waits(calls),
            [20, callee, waiting, breaker, 0] => {
                Self::Load { callee, waiting, breaker: Position::of(breaker)? }
            }
            [21, edge, 0, 0, 0] => Self::Revoked(edge),
            _ => return None,
        };
        with.is_empty().then_some(wish)
    }
}

/// What the broker says in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Something is wanted.
    Wish(Wish),
    /// Something happened, once or several times.
    Records(Vec<Record>),
    /// A tool is to be kept.
    Seen(Seen),
    /// What it says, a part of it.
    Words(Words),
    /// A tool that a call meant.
    Meant(Meant),
}

impl Heard {
    /// What is said next, where something is; nothing at the end.
    ///
    /// # Errors
    /// `EAGAIN` where nothing is said now, `EBADMSG` where it is nothing of the broker's.
    pub(crate) fn next(from: impl AsFd) -> Result<Option<Self>> {
        // One byte more, to tell one that is too long.
        let mut bytes = [0_u8; words::SIZE + 1];
        let Some((length, with)) = take(from, &mut bytes)? else { return Ok(None) };
        let said = bytes.get(..length).unwrap_or_default();
        let heard = if let Some(numbers) = numbers(said) {
            Wish::heard((numbers, with)).map(Self::Wish)
        } else if !with.is_empty() {
            None
        } else if let (records @ [_, ..], []) = said.as_chunks::<{ record::SIZE }>() {
            let records = records.iter().map(Record::decode);
            records.map(|record| record.ok()).collect::<Option<_>>().map(Self::Records)
        } else if let Ok(seen) = said.try_into() {
            Seen::decode(seen).ok().map(Self::Seen)
        } else if let Ok(meant) = said.try_into() {
            Meant::decode(meant).ok().map(Self::Meant)
        } else if let Ok(words) = said.try_into() {
            Words::decode(words).ok().map(Self::Words)
        } else {
            None
        };
        heard.map(Some).ok_or(Errno::BADMSG)
    }
}

/// So many records fit into one packet, which no other message is as long as.
const RECORDS: usize = words::SIZE / record::SIZE;

/// Says records, and waits for room.
///
/// # Errors
/// Where the supervisor is gone (`EPIPE`).
pub(crate) fn say_records(records: &[Record], to: BorrowedFd<'_>) -> Result<()> {
    let bytes: Vec<[u8; record::SIZE]> = records.iter().map(Record::encode).collect();
    bytes
        .chunks(RECORDS)
        .try_for_each(|some| send(to, some.as_flattened(), &[], SendFlags::empty()))
}

/// Says what a tool was seen as, and in words, and waits for room.
///
/// # Errors
/// Where the supervisor is gone (`EPIPE`).
pub(crate) fn say_seen(seen: &Seen, words: &str, to: BorrowedFd<'_>) -> Result<()> {
    send(to, &seen.encode(), &[], SendFlags::empty())?;
    let mut words = Words::of(words).into_iter();
    words.try_for_each(|words| send(to, &words.encode(), &[], SendFlags::empty()))
}

/// Says which tool a call meant, and waits for room.
///
/// # Errors
/// Where the supervisor is gone (`EPIPE`).
pub(crate) fn say_meant(meant: &Meant, to: BorrowedFd<'_>) -> Result<()> {
    send(to, &meant.encode(), &[], SendFlags::empty())
}

fn packet(numbers: [u64; 5]) -> [u8; SIZE] {
    let mut packet = [0_u8; SIZE];
    for (place, number) in packet.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    packet
}

/// The numbers of a packet; nothing where it is not of their size.
fn numbers(packet: &[u8]) -> Option<[u64; 5]> {
    let packet: &[u8; SIZE] = packet.try_into().ok()?;
    let mut numbers = [0_u64; 5];
    for (number, bytes) in numbers.iter_mut().zip(packet.chunks_exact(8)) {
        *number = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    Some(numbers)
}

fn send(
    to: BorrowedFd<'_>,
    packet: &[u8],
    with: &[BorrowedFd<'_>],
    waits: SendFlags,
) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !with.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(with)) {
        return Err(Errno::MSGSIZE);
    }
    let flags = SendFlags::NOSIGNAL | waits;
    retry_on_intr(|| rustix::net::sendmsg(to, &[IoSlice::new(packet)], &mut ancillary, flags))
        .map(drop)
}

/// The next packet, where one is there; nothing at the end. What is no message of this size is an error.
///
/// # Errors
/// `EAGAIN` where none is there now, `EBADMSG` where it is none of ours.
pub(crate) fn receive(from: impl AsFd) -> Result<Option<Packet>> {
    // One byte more, to tell one that is too long.
    let mut packet = [0_u8; SIZE + 1];
    let Some((length, with)) = take(from, &mut packet)? else { return Ok(None) };
    let numbers = packet.get(..length).and_then(numbers).ok_or(Errno::BADMSG)?;
    Ok(Some((numbers, with)))
}

/// Takes a packet: how long it is, and the descriptors that came with it.
fn take(from: impl AsFd, packet: &mut [u8]) -> Result<Option<(usize, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = retry_on_intr(|| {
        rustix::net::recvmsg(from.as_fd(), &mut [IoSliceMut::new(packet)], &mut ancillary, flags)
    })?;
    let mut with = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            with.extend(descriptors);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::BADMSG);
    }
    Ok(Some((received.bytes, with)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use sandboxd_broker_plan::record::Event;
    use sandboxd_broker_plan::seen;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC;
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    #[test]
    fn what_is_said_is_heard_with_its_descriptors_and_with_no_others() {
        let (ours, theirs) = pair();
        for (said, needed) in [
            (Told::Opened { connection: 7, caller: 1, behalf: 0 }, 1),
            (Told::Started(2), 2),
            (Told::Ended(3), 0),
            (Told::Approver(4), 1),
            (Told::Recorded { call: 5, written: true }, 0),
            (Told::Recorded { call: 5, written: false }, 0),
            (Told::Limits, 1),
            (Told::Secrets { caller: 6, behalf: 7 }, 1),
            (Told::Revoked(8), 0),
        ] {
            for count in 0..=MOST {
                let with = [ours.as_fd(); MOST];
                said.say(ours.as_fd(), with.get(..count).unwrap()).unwrap();
                let heard = Told::heard(receive(&theirs).unwrap().unwrap());
                let heard = heard.map(|(told, with)| (told, with.iter().flatten().count()));
                assert_eq!(heard, (count == needed).then_some((said, needed)));
            }
        }
    }

    #[test]
    fn what_is_wished_is_heard() {
        let (ours, theirs) = pair();
        let start = Wish::Start { instance: u64::MAX, edge: 2, connection: 9 };
        for wish in [start, Wish::Stop(1), Wish::Closed(2), Wish::Waits(3), Wish::Revoked(4)] {
            wish.say(theirs.as_fd()).unwrap();
            assert_eq!(Heard::next(&ours), Ok(Some(Heard::Wish(wish))));
        }
        let struck =
            Record { edge: Some(1), connection: 9, instance: 0, call: 0, event: Event::Struck };
        say_records(&[struck], theirs.as_fd()).unwrap();
        assert_eq!(Heard::next(&ours), Ok(Some(Heard::Records(vec![struck]))));
        for breaker in [Position::Closed, Position::Trying, Position::Open] {
            let load = Wish::Load { callee: 3, waiting: 7, breaker };
            load.say(theirs.as_fd()).unwrap();
            assert_eq!(Heard::next(&ours), Ok(Some(Heard::Wish(load))));
        }
        assert_eq!(Heard::next(&ours), Err(Errno::AGAIN));
        drop(theirs);
        assert_eq!(Heard::next(&ours), Ok(None));
    }

    #[test]
    fn records_are_said_in_few_packets_which_are_taken_for_nothing_else() {
        let (ours, theirs) = pair();
        let told =
            |call| Record { edge: Some(1), connection: 9, instance: 0, call, event: Event::Struck };
        let records: Vec<Record> = (0..25).map(told).collect();
        say_records(&records, theirs.as_fd()).unwrap();
        say_records(&[], theirs.as_fd()).unwrap();
        let mut packets = Vec::new();
        while let Ok(heard) = Heard::next(&ours) {
            let Some(Heard::Records(some)) = heard else { panic!("{heard:?}") };
            packets.push(some);
        }
        assert_eq!(
            packets.iter().map(Vec::len).collect::<Vec<_>>(),
            [RECORDS, RECORDS, 25 - 2 * RECORDS]
        );
        assert_eq!(packets.concat(), records);
        let others = [SIZE, seen::SIZE, sandboxd_broker_plan::meant::SIZE, words::SIZE];
        assert!(
            others.iter().all(|size| size % record::SIZE != 0 || *size > RECORDS * record::SIZE)
        );
        // Of which one is none, none is heard.
        let mut bytes = told(1).encode().to_vec();
        bytes.extend([0xff; record::SIZE]);
        send(theirs.as_fd(), &bytes, &[], SendFlags::empty()).unwrap();
        assert_eq!(Heard::next(&ours), Err(Errno::BADMSG));
    }

    #[test]
    fn what_is_told_waits_for_room_and_not_for_ever() {
        let (ours, theirs) = pair();
        let said = (0..100_000).take_while(|_| Told::Ended(1).say(ours.as_fd(), &[]).is_ok());
        let said = said.count();
        let within = |nanos| Timespec { tv_sec: 0, tv_nsec: nanos };
        let told = Told::Ended(2).say_within(ours.as_fd(), &[], within(1_000_000));
        assert_eq!(told, Err(Errno::AGAIN));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..=said {
                    while receive(&theirs).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
            let told = Told::Ended(3).say_within(ours.as_fd(), &[], within(999_999_999));
            assert_eq!(told, Ok(()));
        });
    }

    #[test]
    fn what_a_tool_is_and_says_is_heard_in_order() {
        let (ours, theirs) = pair();
        let tool = seen::ToolName::try_from("read").unwrap();
        let seen = Seen { callee: 1, changed: true, digest: [7; 32], tool };
        let text = "a line of it\n".repeat(500);
        say_seen(&seen, &text, theirs.as_fd()).unwrap();
        // One that says more than is kept is known by its digest alone.
        say_seen(&seen, &"x".repeat(words::MOST + 1), theirs.as_fd()).unwrap();
        assert_eq!(Heard::next(&ours), Ok(Some(Heard::Seen(seen.clone()))));
        let mut said = String::new();
        while let Ok(Some(Heard::Words(words))) = Heard::next(&ours) {
            said.push_str(&words.text);
            if !words.more {
                break;
            }
        }
        assert_eq!(said, text);
        assert_eq!(Heard::next(&ours), Ok(Some(Heard::Seen(seen))));
        assert_eq!(Heard::next(&ours), Err(Errno::AGAIN));
    }

    #[test]
    fn what_is_no_message_is_none() {
        let (ours, theirs) = pair();
        for numbers in
            [[0; 5], [16, 1, 2, 3, 4], [17, 1, 1, 0, 0], [1, 1, 0, 0, 0], [20, 0, 0, 3, 0], [99; 5]]
        {
            send(ours.as_fd(), &packet(numbers), &[], SendFlags::DONTWAIT).unwrap();
            let packet = receive(&theirs).unwrap().unwrap();
            assert_eq!(Wish::heard((packet.0, Vec::new())), None, "{numbers:?}");
            assert!(Told::heard(packet).is_none(), "{numbers:?}: it lacks its descriptor");
        }
        // A wish never comes with a descriptor.
        let stop = packet([17, 1, 0, 0, 0]);
        send(ours.as_fd(), &stop, &[ours.as_fd()], SendFlags::DONTWAIT).unwrap();
        assert_eq!(Heard::next(&theirs), Err(Errno::BADMSG));
        let sizes = [0, SIZE, record::SIZE, seen::SIZE, words::SIZE];
        let lengths = sizes
            .into_iter()
            .flat_map(|size| [size, size + 1])
            .filter(|length| ![0, SIZE].contains(length));
        for length in lengths {
            for _ in 0..2 {
                rustix::io::write(&ours, &vec![16; length]).unwrap();
            }
            assert_eq!(receive(&theirs).err(), Some(Errno::BADMSG), "{length}");
            assert_eq!(Heard::next(&theirs), Err(Errno::BADMSG), "{length}");
        }
    }
}
