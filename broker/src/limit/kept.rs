//! Buckets as they are kept over a restart: a slot of one fixed size for each, written in place before the call
//! that was charged goes on. What the kernel has of a file outlives whoever wrote it.

use super::Moment;
use sha2::{Digest as _, Sha256};

/// The bytes before the first slot. They are the owner's.
pub const HEADER: usize = 64;

/// The bytes of a slot.
pub const SLOT: usize = 32;

/// A bucket, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which: [`key`] of its name.
    pub key: [u8; 16],
    /// When it is as good as new.
    pub full: Moment,
}

/// By what a bucket of this name is known.
#[must_use]
pub fn key(name: &str) -> [u8; 16] {
    first(&Sha256::digest(name.as_bytes()))
}

impl Slot {
    /// The slot as bytes, the last of which are over the others.
    #[must_use]
    pub fn encode(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        let all = self.key.into_iter().chain(self.full.0.to_le_bytes()).chain(self.check());
        bytes.iter_mut().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    /// The slot in these bytes; nothing where they are none.
    #[must_use]
    pub fn decode(bytes: &[u8; SLOT]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<16>()?;
        let (full, check) = rest.split_first_chunk::<8>()?;
        let slot = Self { key: *key, full: Moment(u64::from_le_bytes(*full)) };
        (slot.check() == check).then_some(slot)
    }

    fn check(&self) -> [u8; 8] {
        let digest = Sha256::new().chain_update(self.key).chain_update(self.full.0.to_le_bytes());
        first(&digest.finalize())
    }
}

/// The first bytes of a digest.
fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(digest).for_each(|(place, byte)| *place = *byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_not_whole_is_none() {
        let slot = Slot { key: key("edge:agent/fs"), full: Moment(u64::MAX - 7) };
        let bytes = slot.encode();
        assert_eq!(Slot::decode(&bytes), Some(slot));
        for place in 0..SLOT {
            for bit in 0..8 {
                let mut bytes = bytes;
                bytes[place] ^= 1 << bit;
                assert_eq!(Slot::decode(&bytes), None, "{place}");
            }
        }
        assert_eq!(Slot::decode(&[0; SLOT]), None);
    }
}
