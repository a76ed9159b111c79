//! A record as bytes.

use super::SIZE;
use crate::fixed::{Reader, RecordError};

/// A record, number by number; what is not meant is 0.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) event: u8,
    pub(super) word: u8,
    pub(super) method: u8,
    pub(super) edge: u32,
    pub(super) name: u32,
    pub(super) count: u32,
    pub(super) connection: u64,
    pub(super) instance: u64,
    pub(super) call: u64,
    pub(super) bytes: u64,
    pub(super) millis: u64,
    pub(super) digest: [u8; 32],
}

impl Numbers {
    pub(super) fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut places = bytes.iter_mut();
        let small = [self.event, self.word, self.method, 0];
        let four = [self.edge, self.name, self.count].into_iter().flat_map(u32::to_le_bytes);
        let eight = [self.connection, self.instance, self.call, self.bytes, self.millis];
        let all = small
            .into_iter()
            .chain(four)
            .chain(eight.into_iter().flat_map(u64::to_le_bytes))
            .chain(self.digest);
        places.by_ref().zip(all).for_each(|(place, byte)| *place = byte);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; SIZE]) -> Result<Self, RecordError> {
        let mut from = Reader(bytes);
        let [event, word, method, _] = from.take()?;
        let [edge, name, count] =
            [from.take()?, from.take()?, from.take()?].map(u32::from_le_bytes);
        let mut long = || from.take().map(u64::from_le_bytes);
        let (connection, instance, call) = (long()?, long()?, long()?);
        let (bytes, millis) = (long()?, long()?);
        let digest = from.take()?;
        Ok(Self {
            event,
            word,
            method,
            edge,
            name,
            count,
            connection,
            instance,
            call,
            bytes,
            millis,
            digest,
        })
    }
}
