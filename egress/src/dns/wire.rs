//! How a message is cut into numbers and names.

use super::HEADER;

/// Reads a message from some place in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    whole: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at == self.whole.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.whole.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn number(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A name in small letters, its labels joined by dots. Letters that are none of a host's name are
    /// left as they are: they equal nothing. Compressed, it leads back and further back only.
    pub(super) fn name(&mut self, compressed: Compressed) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut here = *self;
        let mut limit = self.at;
        let mut returned = None;
        loop {
            let length = usize::from(here.array::<1>()?[0]);
            match length {
                0 => break,
                1..64 => {
                    let label = here.take(length)?;
                    // A dot in a label is not one between two.
                    if label.contains(&b'.') || name.len() + length > 253 {
                        return None;
                    }
                    if !name.is_empty() {
                        name.push(b'.');
                    }
                    name.extend(label.iter().map(u8::to_ascii_lowercase));
                }
                192.. if compressed == Compressed::Allowed => {
                    let low = usize::from(here.array::<1>()?[0]);
                    let to = ((length & 63) << 8) | low;
                    if to >= limit || to < HEADER {
                        return None;
                    }
                    returned = returned.or(Some(here.at));
                    limit = to;
                    here.at = to;
                }
                _ => return None,
            }
        }
        self.at = returned.unwrap_or(here.at);
        (name.len() <= 253).then_some(name)
    }
}

/// Whether a name may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compressed {
    Allowed,
    Refused,
}
