//! The service `terminal`: what a command wrote comes in as standard input, what may be shown goes out
//! as standard output. Standard error is a socket: before anything is shown, a packet says how the
//! terminal is given back afterwards.

use crate::terminal::filter::Filter;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use sandboxd_kernel::fds::inherited;
use sandboxd_profiles::Escape;

pub(crate) const NAME: &str = "terminal";

/// Read at once.
const CHUNK: usize = 64 << 10;

/// Longer than any [`State`] of the filter.
pub(crate) const MOST_STATE: usize = 4 << 10;

/// How a terminal is given back: one packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// What switches off what is still on.
    pub(crate) undo: Vec<u8>,
    /// Whether the terminal may still send something that nobody typed.
    pub(crate) answers: bool,
}

impl State {
    fn of(filter: &Filter) -> Self {
        Self { undo: filter.undo(), answers: filter.may_be_answered() }
    }

    fn encode(&self) -> Vec<u8> {
        [&[u8::from(self.answers)], self.undo.as_slice()].concat()
    }

    /// Reads a packet; nothing where it is none.
    pub(crate) fn decode(packet: &[u8]) -> Option<Self> {
        let (answers, undo) = packet.split_first()?;
        (*answers <= 1).then(|| Self { undo: undo.to_vec(), answers: *answers == 1 })
    }
}

/// Filters until the end of what comes in.
///
/// # Errors
/// Where a stream is not there or breaks.
pub(crate) fn serve(escapes: &[Escape]) -> Result<(), Errno> {
    let (input, output, states) = (inherited(0)?, inherited(1)?, inherited(2)?);
    let mut filter = Filter::new(escapes);
    let mut told = State::default();
    let mut chunk = vec![0; CHUNK];
    let mut shown = Vec::new();
    loop {
        let read = match rustix::io::read(input, &mut *chunk) {
            Ok(0) => return Ok(()),
            Err(Errno::INTR) => continue,
            read => read?,
        };
        shown.clear();
        filter.pass(chunk.get(..read).unwrap_or_default(), &mut shown);
        let state = State::of(&filter);
        if state != told {
            write_all(states, &state.encode())?;
            told = state;
        }
        write_all(output, &shown)?;
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(to, bytes))?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_nothing_else_is_one() {
        for state in [
            State::default(),
            State { undo: b"\x1b[?1049l".to_vec(), answers: true },
            State { undo: Vec::new(), answers: true },
        ] {
            assert_eq!(State::decode(&state.encode()), Some(state));
        }
        for packet in [&b""[..], b"sandboxd: failed"] {
            assert_eq!(State::decode(packet), None);
        }
    }
}
