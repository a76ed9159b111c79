//! Whoever may approve calls, at streams of their own: a line in, an answer out, and closed.

use super::{Carrier, Owner, Pair, Whose, now};
use crate::{
    approve::{Decided, LINE},
    relay::{Ask, Input, Verdict},
};
use std::{io, os::fd::OwnedFd};

/// How many there may be at once.
const MOST: usize = 8;

impl Carrier {
    /// Somebody is there. One too many is closed, and asks again.
    pub(super) fn approver(&mut self, number: u32, stream: OwnedFd) -> io::Result<()> {
        if self.lines.len() < MOST {
            self.lines.insert(number, Vec::new());
            self.add(Whose::Approver(number), Pair::One(stream))?;
        }
        Ok(())
    }

    /// A call is to be asked about.
    pub(super) fn ask(&mut self, ask: Ask, owner: &mut impl Owner) -> io::Result<()> {
        let (call, digest) = (ask.call, ask.digest);
        match self.approvals.hold(ask, now()?) {
            Ok(()) => Ok(()),
            Err(why) => {
                let verdict = Verdict::Denied(why.to_owned());
                self.step(Input::Decided { call, digest, verdict: &verdict, by: None }, owner)
            }
        }
    }

    /// An approver wrote. It says one thing, and hears one answer.
    pub(super) fn approver_wrote(
        &mut self,
        id: u32,
        bytes: &[u8],
        owner: &mut impl Owner,
    ) -> io::Result<()> {
        let Some(line) = self.lines.get_mut(&id) else { return Ok(()) };
        line.extend_from_slice(bytes);
        let end = match line.iter().position(|byte| *byte == b'\n') {
            Some(end) => end,
            None if line.len() <= LINE => return Ok(()),
            None => return self.let_go(Whose::Approver(id), owner),
        };
        let line = line.get(..end.min(LINE)).unwrap_or_default().to_vec();
        let answer = self.approvals.hear(&line, now()?);
        if let Some(Decided { call, digest, verdict }) = answer.decided {
            let by = Some(id);
            self.step(Input::Decided { call, digest, verdict: &verdict, by }, owner)?;
        }
        self.write(Whose::Approver(id), answer.text.into());
        self.close(Whose::Approver(id));
        Ok(())
    }

    /// Tells the owner how many calls wait, where that is another number.
    pub(super) fn tell_waiting(&mut self, owner: &mut impl Owner) -> io::Result<()> {
        let count = self.approvals.count();
        if std::mem::replace(&mut self.told, count) == count {
            return Ok(());
        }
        owner.waits(count)
    }
}
