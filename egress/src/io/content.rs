//! What is in the body of an answer, as it comes: without what frames it, and with secrets covered.

use crate::{http::Body, mask::Mask};
use sandboxd_egress_plan::Verdict;

/// What is in a body.
#[derive(Debug)]
pub(super) struct Content<'m> {
    body: Body,
    mask: Option<&'m Mask>,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
}

impl<'m> Content<'m> {
    /// Of this one, covered by this where it is.
    pub(super) const fn new(body: Body, mask: Option<&'m Mask>) -> Self {
        Self { body, mask, held: Vec::new() }
    }

    /// Takes what is there of the body, and returns what is in that; of what may be the beginning of a
    /// secret only what cannot be one any more, unless it is to be all.
    pub(super) fn take(&mut self, from: &mut Vec<u8>, all: bool) -> Result<Vec<u8>, Verdict> {
        let taken = self.body.take_and_hear(from, &mut Vec::new(), &mut self.held);
        from.drain(..taken.map_err(|_| Verdict::Reply)?);
        let settled = self.mask.map_or(self.held.len(), |mask| mask.cover(&mut self.held));
        let settled = if all || self.is_over() { self.held.len() } else { settled };
        Ok(self.held.drain(..settled).collect())
    }

    /// Whether something waits for what follows.
    pub(super) fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether there is no more of it.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_over()
    }
}
