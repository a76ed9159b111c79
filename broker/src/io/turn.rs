//! The end of a turn: what happened is told, and then what was written goes on.

use super::{
    Carrier, LINGER, Owner, Whose,
    stream::{Read, Stream},
};
use crate::{
    relay::{Input, InstanceId, Output},
    swap::Piece,
};
use std::io;

/// What is read of one that ended, at most: more than lies in a socket, and than an answer may be as a rule. Whoever
/// still writes is not waited for.
const LAST: usize = 64 << 20;

impl Carrier {
    /// Tells the owner, after all that happened before.
    pub(super) fn tell(&mut self, output: Output, owner: &mut impl Owner) -> io::Result<()> {
        self.commit(owner)?;
        owner.tell(output)
    }

    /// Has kept what was charged, and tells what happened: nothing goes on before.
    pub(super) fn commit(&mut self, owner: &mut impl Owner) -> io::Result<()> {
        let charged = self.relay.charged();
        if !charged.is_empty() {
            owner.keep(&charged)?;
        }
        if !self.records.is_empty() {
            owner.record(&self.records)?;
            self.records.clear();
        }
        Ok(())
    }

    /// A callee ended.
    pub(super) fn ended(&mut self, id: InstanceId, owner: &mut impl Owner) -> io::Result<()> {
        self.last_words(id, owner)?;
        self.take(Whose::Callee(id))?;
        self.step(Input::Ended(id), owner)
    }

    /// What a callee wrote before it ended, or closed its stream, may still lie there, and is an answer.
    pub(super) fn last_words(&mut self, id: InstanceId, owner: &mut impl Owner) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        let mut left = LAST;
        while let Some(stream) = self.streams.get_mut(&Whose::Callee(id))
            && left > 0
            && let Read::Bytes(count) = stream.read_if_there(&mut piece)
        {
            left = left.saturating_sub(count);
            self.heard(count);
            self.step(Input::FromCallee(id, piece.get(..count).unwrap_or_default()), owner)?;
        }
        self.piece = piece;
        Ok(())
    }

    pub(super) fn write(&mut self, whose: Whose, line: Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(&whose) {
            self.held = self.held.saturating_add(line.len());
            stream.write(line);
            self.written.push(whose);
        }
    }

    pub(super) fn write_pieces(&mut self, whose: Whose, line: Vec<Piece>) {
        if let Some(stream) = self.streams.get_mut(&whose) {
            stream.write_pieces(line);
            self.written.push(whose);
        }
    }

    /// Closes a stream, once what was written to it is read.
    pub(super) fn close(&mut self, whose: Whose) {
        if let Some(stream) = self.streams.get_mut(&whose) {
            stream.close(self.now.after(LINGER));
            self.written.push(whose);
        }
    }

    /// Lets go on what was written in this turn, and whatever follows from whom that does not reach.
    pub(super) fn deliver(&mut self, owner: &mut impl Owner) -> io::Result<()> {
        self.commit(owner)?;
        while !self.written.is_empty() {
            let mut written = std::mem::take(&mut self.written);
            written.sort_unstable();
            written.dedup();
            self.touched.extend_from_slice(&written);
            for whose in &written {
                let Some(stream) = self.streams.get_mut(whose) else { continue };
                stream.go_on();
            }
            written.into_iter().try_for_each(|whose| self.sweep(whose, owner))?;
            self.commit(owner)?;
        }
        Ok(())
    }

    /// Lets go of a stream that is to be closed and has nothing more to write.
    pub(super) fn sweep(&mut self, whose: Whose, owner: &mut impl Owner) -> io::Result<()> {
        let done = self.streams.get(&whose).is_some_and(Stream::is_done);
        if done { self.let_go(whose, owner) } else { Ok(()) }
    }

    /// Lets go of those that nobody reads any more, and of those that were to be closed long ago.
    pub(super) fn linger(&mut self, owner: &mut impl Owner) -> io::Result<()> {
        let now = self.now;
        let late = self.closing.iter().filter(|whose| {
            self.streams.get(whose).is_some_and(|stream| {
                stream.is_broken() || stream.closing().is_some_and(|until| until <= now)
            })
        });
        let late: Vec<Whose> = late.copied().collect();
        late.into_iter().try_for_each(|whose| self.let_go(whose, owner))
    }

    /// A stream is at its end. The owner is told, once.
    pub(super) fn let_go(&mut self, whose: Whose, owner: &mut impl Owner) -> io::Result<()> {
        if let Whose::Callee(id) = whose {
            self.last_words(id, owner)?;
        }
        if self.take(whose)?.is_none() {
            return Ok(());
        }
        match whose {
            Whose::Caller(id) => {
                self.step(Input::Closed(id), owner)?;
                self.tell(Output::Close(id), owner)
            }
            Whose::Callee(id) => {
                self.step(Input::Ended(id), owner)?;
                self.tell(Output::Stop(id), owner)
            }
            Whose::Approver(id) => {
                self.lines.remove(&id);
                Ok(())
            }
        }
    }
}
