//! A record as bytes.

use super::SIZE;
use crate::fixed::{Reader, RecordError, Writer};

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
        let mut to = Writer(&mut bytes);
        to.put([self.event, self.word, self.method, 0]);
        for four in [self.edge, self.name, self.count] {
            to.put(four.to_le_bytes());
        }
        for eight in [self.connection, self.instance, self.call, self.bytes, self.millis] {
            to.put(eight.to_le_bytes());
        }
        to.put(self.digest);
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
