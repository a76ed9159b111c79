//! The end of it: what a command that is dead still had to show, and giving the terminal back.

use super::super::outer::undisturbed;
use super::super::piece::{Piece, wait};
use super::{CHUNK, Console, KEYS, LOOK};
use rustix::event::PollFlags;
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How long nothing may go on of what was still to be shown.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a terminal may take to answer the last question.
const ANSWER: Duration = Duration::from_millis(300);
/// "Are you all right", to which a terminal says `ESC [ 0 n` after all answers before (DSR, ECMA-48).
const QUESTION: &[u8] = b"\x1b[5n";
const ANSWERED: &[u8] = b"\x1b[0n";

impl Console {
    /// Shows what a command that has ended still had to show. That of one that ended by itself is `wanted`: a
    /// terminal is waited for as long as it is there, as any program waits for it, and keys that make signals
    /// make them for us meanwhile.
    pub(crate) async fn drain(&mut self, wanted: bool) {
        self.typed = None;
        self.to_type.clear();
        self.filtering.feed(self.shown.is_some());
        let mut last = Instant::now();
        while self.shows() {
            match tokio::time::timeout(LOOK, self.next()).await {
                Ok(next) => {
                    self.carry(next);
                    last = Instant::now();
                }
                Err(_) if last.elapsed() < PATIENCE => self.outer.hear_signals(),
                // A filter that does not answer is not waited for.
                Err(_) if !wanted || self.to_show.is_empty() => return,
                Err(_) => {}
            }
        }
    }

    /// Whether there is more to show, or may be.
    pub(crate) fn shows(&self) -> bool {
        self.begun && (self.filtering.from.is_some() || !self.to_show.is_empty())
    }

    /// Gives the terminal back, and tells what could not be cleaned up.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        let left = self.filtering.end();
        if !self.gone {
            self.undo();
        }
        self.outer.restore();
        left
    }

    /// Undoes what the command left on, and waits for answers that are still under way: after us they
    /// would be typed into the caller's shell.
    fn undo(&mut self) {
        let asks = self.filtering.state.answers;
        let mut last = self.filtering.state.undo.clone();
        let raw = self.outer.is_raw() && self.ours;
        if asks && raw {
            last.extend_from_slice(QUESTION);
        }
        let until = Instant::now() + ANSWER;
        let mut piece = Piece { bytes: last, written: 0 };
        let output = self.outer.output.get_ref();
        while undisturbed(|| piece.write(output)) == Err(Errno::AGAIN)
            && wait(output, PollFlags::OUT, until)
        {}
        if asks && raw {
            self.hear_answers(until);
        }
        if asks {
            self.outer.forget_input();
        }
    }

    fn hear_answers(&self, until: Instant) {
        let input = self.outer.input.get_ref();
        let mut heard = Vec::new();
        let mut chunk = [0; KEYS];
        while !heard.windows(ANSWERED.len()).any(|piece| piece == ANSWERED)
            && heard.len() < CHUNK
            && wait(input, PollFlags::IN, until)
        {
            match rustix::io::read(input, &mut chunk) {
                Ok(read) if read > 0 => {
                    heard.extend_from_slice(chunk.get(..read).unwrap_or_default());
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}
