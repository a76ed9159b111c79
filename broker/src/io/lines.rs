//! What callers wrote, line by line. Some lines take milliseconds, to hold their arguments against a schema, and some
//! hundreds of them are read at once: so of each caller a turn takes a share, and the rest is for the turns after it.

use super::{Carrier, Owner, Stream, Whose, now};
use crate::relay::{ConnectionId, Input};
use std::io::{self, BufRead as _};

/// How long lines of one connection are taken in a turn, in nanoseconds. The line that is at it then comes to its end.
pub(super) const SHARE: u64 = 2_000_000;

impl Carrier {
    /// A caller wrote. What exceeds its share is left.
    pub(super) fn wrote(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        owner: &mut impl Owner,
    ) -> io::Result<()> {
        let until = now()?.0.saturating_add(self.share);
        let mut rest = bytes;
        loop {
            let mut after = rest;
            let (line, _) = rest.split_at(after.skip_until(b'\n')?);
            self.step(Input::FromCaller(id, line), owner)?;
            rest = after;
            if rest.is_empty() || now()?.0 >= until {
                break;
            }
        }
        // Of one that is to be closed nothing more is heard.
        if !rest.is_empty() && self.streams.get(&Whose::Caller(id)).is_some_and(Stream::reads) {
            self.left.insert(id, rest.to_vec());
        }
        Ok(())
    }

    /// Takes of what the turns before left. Of whom something was left nothing is read in this turn: it has had its
    /// share, and what it wrote first comes first.
    pub(super) fn go_on(&mut self, owner: &mut impl Owner) -> io::Result<()> {
        let left: Vec<ConnectionId> = self.left.keys().copied().collect();
        for id in left {
            let bytes = self.left.get_mut(&id).map(std::mem::take);
            self.wrote(id, &bytes.unwrap_or_default(), owner)?;
            self.sweep(Whose::Caller(id), owner)?;
        }
        Ok(())
    }

    /// Of somebody nothing more is heard.
    pub(super) fn forget_left(&mut self, whose: Whose) {
        if let Whose::Caller(id) = whose {
            self.left.remove(&id);
        }
    }

    /// Whether something that somebody wrote was left when this turn began.
    pub(super) fn has_left(&self, whose: Whose) -> bool {
        matches!(whose, Whose::Caller(id) if self.left.contains_key(&id))
    }
}
