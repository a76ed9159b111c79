//! Packets of a fixed size that the supervisor takes from the processes beside it, one of which may have been taken
//! over: whatever the bytes, an answer; and what is taken is said in these bytes and no others.
#![no_main]

#[path = "../../../supervisor/src/service/channel.rs"]
#[expect(dead_code, reason = "the supervisor says more than it hears")]
mod channel;

use channel::Heard;
use rustix::{
    fd::{AsFd as _, OwnedFd},
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair},
};
use sandboxd_broker_plan::{meant, record, seen, words};
use sandboxd_egress_plan::{Level, Signing, Told, Use, record as egress};
use sandboxd_plan::Notice;
use std::sync::LazyLock;

/// The supervisor's end, and the broker's.
static BROKER: LazyLock<(OwnedFd, OwnedFd)> = LazyLock::new(|| {
    let flags = SocketFlags::CLOEXEC;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a pair of sockets")
});

/// Bytes of each kind; made-up ones are seldom so many.
const SIZES: [usize; 10] = [
    40,
    record::SIZE,
    2 * record::SIZE,
    seen::SIZE,
    meant::SIZE,
    words::SIZE,
    egress::SIZE,
    Use::SIZE,
    Level::SIZE,
    Signing::SIZE,
];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let bytes = bytes.get(..words::SIZE + 1).unwrap_or(bytes);
    packet(bytes);
    for size in SIZES {
        let mut filled = bytes.to_vec();
        filled.resize(size, 0);
        packet(&filled);
    }
});

fn packet(bytes: &[u8]) {
    if let Some(said) = broker(bytes) {
        assert_eq!(said, bytes);
    }
    if let Ok(told) = Told::decode(bytes) {
        let said = match told {
            Told::Record(record) => record.encode().to_vec(),
            Told::Use(used) => used.encode().to_vec(),
            Told::Level(level) => level.encode().to_vec(),
            Told::Lost(lost) => lost.to_le_bytes().to_vec(),
            Told::Signing(signing) => signing.encode().to_vec(),
        };
        assert_eq!(said, bytes);
    }
    if let Some(notice) = Notice::decode(bytes) {
        assert_eq!(notice.encode(), bytes);
    }
}

/// What the broker said, as it says it.
fn broker(bytes: &[u8]) -> Option<Vec<u8>> {
    let (ours, theirs) = &*BROKER;
    if bytes.is_empty() {
        return None;
    }
    send(theirs, bytes, SendFlags::empty()).expect("there is room for it");
    Some(match Heard::next(ours).ok().flatten()? {
        Heard::Wish(wish) => {
            wish.say(theirs.as_fd()).expect("there is room for it");
            let mut said = [0; words::SIZE];
            let (length, _) = recv(ours, &mut said, RecvFlags::DONTWAIT).expect("it was said");
            said.get(..length)?.to_vec()
        }
        Heard::Records(records) => records.iter().flat_map(record::Record::encode).collect(),
        Heard::Seen(seen) => seen.encode().to_vec(),
        Heard::Words(words) => words.encode().to_vec(),
        Heard::Meant(meant) => meant.encode().to_vec(),
    })
}
