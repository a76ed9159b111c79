//! `sandboxd connect`: from inside a sandbox to the broker, one line first and then whatever comes.

use super::NOT_SET_UP;
use super::output::warn;
use super::typed::Connect;
use crate::explain::{self, printable};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::Shutdown;
use serde_json::json;
use std::io::Write as _;
use std::os::unix::net::UnixStream;

/// Where a command's calls go, in its view.
const ENDPOINT: &str = "/run/sandboxd/broker.sock";

/// How much is carried at once.
const PIECE: usize = 64 << 10;

pub(crate) fn connect(typed: &Connect) -> u8 {
    let broker = match to(&typed.name) {
        Ok(broker) => broker,
        Err(status) => return status,
    };
    match between(std::io::stdin().as_fd(), &broker, std::io::stdout().as_fd()) {
        Ok(()) => 0,
        Err(error) => {
            let why = explain::errno(error.raw_os_error());
            warn(&format!("sandboxd connect: {}: {why}\n", printable(&typed.name)));
            NOT_SET_UP
        }
    }
}

/// A stream to what the profile calls so; the status to end with where there is none.
pub(super) fn to(name: &str) -> Result<UnixStream, u8> {
    let line = json!({
        "jsonrpc": "2.0", "method": "dev.sandboxd/connect", "params": { "name": name }
    });
    let broker = UnixStream::connect(ENDPOINT)
        .and_then(|mut broker| writeln!(broker, "{line}").map(|()| broker));
    broker.map_err(|error| {
        warn(&format!(
            "sandboxd: no broker\n  call    connect({ENDPOINT:?})\n  error   {}\n  remedy  run it in a sandbox whose profile has [call.{name}]; outside, use sandboxd call -p PROFILE {name}\n",
            explain::io(&error)
        ));
        NOT_SET_UP
    })
}

/// Carries both ways until the broker closes. The end of the input is the end of what is asked, and not
/// of what is answered.
fn between(
    input: BorrowedFd<'_>,
    broker: &UnixStream,
    output: BorrowedFd<'_>,
) -> rustix::io::Result<()> {
    let (mut piece, mut asks) = (vec![0; PIECE], true);
    loop {
        let asked = if asks { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [PollFd::from_borrowed_fd(input, asked), PollFd::new(broker, PollFlags::IN)];
        match poll(fds.get_mut(usize::from(!asks)..).unwrap_or_default(), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let [wrote, answered] = fds.map(|fd| !fd.revents().is_empty());
        if answered && !carry(broker.as_fd(), output, &mut piece)? {
            return Ok(());
        }
        if asks && wrote && !carry(input, broker.as_fd(), &mut piece)? {
            asks = false;
            rustix::net::shutdown(broker, Shutdown::Write)?;
        }
    }
}

/// Carries what is there; false at the end.
fn carry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, piece: &mut [u8]) -> rustix::io::Result<bool> {
    let read = match rustix::io::read(from, &mut *piece) {
        Ok(read) => read,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        Err(Errno::CONNRESET) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let mut left = piece.get(..read).unwrap_or_default();
    while !left.is_empty() {
        match rustix::io::write(to, left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Whoever was written to is gone, and so is what it would have asked.
            Err(Errno::PIPE | Errno::CONNRESET) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
    Ok(read > 0)
}
