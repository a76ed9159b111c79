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

/// What the names of quarantines begin with.
pub const QUARANTINE: &str = "quarantine:";

/// By what a bucket of this name is known. Its last bit says whether it is a quarantine.
#[must_use]
pub fn key(name: &str) -> [u8; 16] {
    let mut key: [u8; 16] = first(&Sha256::digest(name.as_bytes()));
    if let Some(last) = key.last_mut() {
        *last = (*last & !1) | u8::from(name.starts_with(QUARANTINE));
    }
    key
}

impl Slot {
    /// Whether it is one of a caller's quarantines: of what is not known of one, nothing is to be believed,
    /// since a caller that never was in one has nothing to wait for.
    #[must_use]
    pub fn is_quarantine(&self) -> bool {
        self.key.last().is_some_and(|last| last & 1 == 1)
    }

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
        assert!(!slot.is_quarantine());
        assert!(Slot { key: key("quarantine:agent"), ..slot }.is_quarantine());
    }
}
