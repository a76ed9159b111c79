//! The end of a turn: what happened is told, and then what was written goes on.

use super::{Carrier, LINGER, Owner, TOO_MUCH, Whose};
use crate::{relay::Output, swap::Piece};
use std::io;

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

    pub(super) fn write(&mut self, whose: Whose, line: Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(&whose) {
            stream.write(line);
            if matches!(whose, Whose::Caller(_)) && stream.unsent() > TOO_MUCH {
                stream.give_up();
            }
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
}
