//! The service `notify`: what a command says by sd_notify(3) arrives at standard input, a datagram each.
//! What is passed on of it goes out at standard error, a packet each. The rest is nobody's: another main
//! process, descriptors to keep, longer deadlines.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sandboxd_kernel::fds::inherited;
use std::time::Duration;

pub(crate) const NAME: &str = "notify";

/// More than fits is nothing that is passed on.
const MOST_SAID: usize = 4 << 10;

/// As much of a status as anybody reads in a line.
const MOST_STATUS: usize = 160;

/// Longer than any packet.
pub(crate) const MOST_PACKET: usize = 256;

/// Between two packets, so that nobody can keep the service manager busy.
const PAUSE: Duration = Duration::from_millis(20);

const READY: u8 = 1;
const ALIVE: u8 = 2;
const STATUS: u8 = 4;

/// What a command said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// It is ready.
    ready: bool,
    /// It is not hung.
    alive: bool,
    /// How it goes, for people: printable ASCII.
    status: Option<String>,
}

impl Said {
    /// Reads what was written to the socket; a line that is not passed on says nothing.
    fn read(text: &[u8]) -> Self {
        let mut said = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            match line {
                b"READY=1" => said.ready = true,
                b"WATCHDOG=1" => said.alive = true,
                _ => {
                    if let Some(status) = line.strip_prefix(b"STATUS=") {
                        let shown = status.iter().take(MOST_STATUS).map(|byte| match byte {
                            b' '..=b'~' => char::from(*byte),
                            _ => '?',
                        });
                        said.status = Some(shown.collect());
                    }
                }
            }
        }
        said
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn encode(&self) -> Vec<u8> {
        let mut packet = vec![0];
        let mut flag =
            |is: bool, bit| packet.iter_mut().for_each(|first| *first |= if is { bit } else { 0 });
        flag(self.ready, READY);
        flag(self.alive, ALIVE);
        flag(self.status.is_some(), STATUS);
        packet.extend(self.status.iter().flat_map(|status| status.bytes()));
        packet
    }

    /// Reads a packet; nothing where it is none.
    pub(crate) fn decode(packet: &[u8]) -> Option<Self> {
        let (flags, status) = packet.split_first()?;
        let has = |bit| flags & bit != 0;
        let known = flags & !(READY | ALIVE | STATUS) == 0 && (has(STATUS) || status.is_empty());
        let fits =
            status.len() <= MOST_STATUS && status.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let text = std::str::from_utf8(status).ok().filter(|_| known && fits)?;
        let status = has(STATUS).then(|| text.to_owned());
        Some(Self { ready: has(READY), alive: has(ALIVE), status })
    }

    /// As the service manager is told of it.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        if self.ready {
            lines.push(String::from("READY=1"));
        }
        if self.alive {
            lines.push(String::from("WATCHDOG=1"));
        }
        lines.extend(self.status.iter().map(|status| format!("STATUS={status}")));
        lines.join("\n")
    }
}

/// Takes what is said until nothing more can be.
///
/// # Errors
/// Where a socket is not there or breaks.
pub(crate) fn serve() -> Result<(), Errno> {
    let (input, output) = (inherited(0)?, inherited(2)?);
    let mut bytes = vec![0; MOST_SAID];
    loop {
        // Descriptors that come along are not received, and so closed: whoever waits for that, as
        // sd_notify_barrier(3), goes on.
        let (_, length) = retry_on_intr(|| recv(input, &mut *bytes, RecvFlags::TRUNC))?;
        if length == 0 && is_over(input)? {
            return Ok(());
        }
        // Nothing of what was cut off.
        let said = Said::read(bytes.get(..length).unwrap_or_default());
        if !said.is_nothing() {
            retry_on_intr(|| send(output, &said.encode(), SendFlags::empty()))?;
            std::thread::sleep(PAUSE);
        }
    }
}

/// Whether nothing more can arrive; an empty datagram looks the same.
fn is_over(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut ready = [PollFd::new(&socket, PollFlags::RDHUP)];
    retry_on_intr(|| poll(&mut ready, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })))?;
    Ok(ready.iter().any(|one| one.revents().contains(PollFlags::RDHUP)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_words_are_passed_on_and_nothing_else() {
        let text =
            b"MAINPID=1\nREADY=1\nFDSTORE=1\nSTATUS=half\x1b[2J way\nWATCHDOG=trigger\nREADY=0";
        assert_eq!(Said::read(text).text(), "READY=1\nSTATUS=half?[2J way");
        assert_eq!(Said::read(b"WATCHDOG=1").text(), "WATCHDOG=1");
        for text in [&b""[..], b"\n\n", b"READY=1 ", b"ready=1", b"STOPPING=1", b"X=READY=1"] {
            assert!(Said::read(text).is_nothing(), "{text:?}");
        }
        let long = Said::read(&[b"STATUS=", [b'x'; 4000].as_slice()].concat());
        assert_eq!(long.text().len(), "STATUS=".len() + MOST_STATUS);
        assert!(long.encode().len() <= MOST_PACKET);
    }

    #[test]
    fn a_packet_is_read_as_it_was_written_and_nothing_else_is_one() {
        for text in [&b"READY=1"[..], b"WATCHDOG=1\nREADY=1", b"STATUS=", b"STATUS=x\nREADY=1"] {
            let said = Said::read(text);
            assert_eq!(Said::decode(&said.encode()), Some(said));
        }
        for packet in [&b""[..], b"\x08", b"\x01x", b"\x04\n", b"\x04\xff", &[4; 200]] {
            assert_eq!(Said::decode(packet), None, "{packet:?}");
        }
    }
}
