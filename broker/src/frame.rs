//! Lines out of a stream of bytes, each counted while it is read: a line that is too long is thrown
//! away as it comes and takes no memory.

use std::{borrow::Cow, io::BufRead as _, mem};

/// What was read up to a line end.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'b> {
    /// A line, without its end: where it lies among what was read, or put together from that.
    Line(Cow<'b, [u8]>),
    /// A line that had more bytes than fit; they are gone.
    TooLong,
}

/// The lines of one stream.
#[derive(Debug)]
pub struct Lines {
    held: Vec<u8>,
    most: usize,
    overrun: bool,
}

impl Lines {
    /// Lines of at most so many bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { held: Vec::new(), most, overrun: false }
    }

    /// From the next byte on, lines of at most so many bytes.
    pub fn limit(&mut self, most: usize) {
        self.most = most;
    }

    /// The most bytes of a line.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Bytes of a line that has not ended yet.
    #[must_use]
    pub const fn begun(&self) -> usize {
        self.held.len()
    }

    /// Takes bytes up to and with the first line end. What is left over is the second value; nothing
    /// where no line ended.
    pub fn push<'b>(&mut self, bytes: &'b [u8]) -> Option<(Frame<'b>, &'b [u8])> {
        let mut rest = bytes;
        let (taken, _) = bytes.split_at(rest.skip_until(b'\n').ok()?);
        let ended = taken.strip_suffix(b"\n");
        let line = ended.unwrap_or(taken);
        if self.held.len() + line.len() > self.most {
            self.overrun = true;
            self.held = Vec::new();
        }
        if ended.is_some() && mem::take(&mut self.overrun) {
            return Some((Frame::TooLong, rest));
        }
        if ended.is_some() && self.held.is_empty() {
            return Some((Frame::Line(line.into()), rest));
        }
        if !self.overrun {
            self.held.extend_from_slice(line);
        }
        ended.map(|_| (Frame::Line(mem::take(&mut self.held).into()), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all<'b>(lines: &mut Lines, mut bytes: &'b [u8]) -> Vec<Frame<'b>> {
        let mut found = Vec::new();
        while let Some((frame, rest)) = lines.push(bytes) {
            found.push(frame);
            bytes = rest;
        }
        found
    }

    #[test]
    fn a_line_that_is_too_long_takes_no_memory_and_the_next_is_read() {
        let mut lines = Lines::new(4);
        for _ in 0..1000 {
            assert_eq!(lines.push(b"xxxxxxxx"), None);
            assert!(lines.held.capacity() <= 4);
        }
        assert_eq!(
            all(&mut lines, b"x\nabcd\nabcde\n\n"),
            [
                Frame::TooLong,
                Frame::Line(b"abcd".as_slice().into()),
                Frame::TooLong,
                Frame::Line(b"".as_slice().into())
            ]
        );
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_makes_no_difference(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let whole = all(&mut Lines::new(20), &bytes);
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut lines = Lines::new(20);
            let (mut found, mut from) = (Vec::new(), 0);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                let cut = cut.clamp(from, bytes.len());
                found.extend(all(&mut lines, &bytes[from..cut]));
                from = cut;
            }
            prop_assert_eq!(whole, found);
        }
    }
}
