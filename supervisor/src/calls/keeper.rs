//! Keeps what the broker tells of tools, as it comes; and what could not be kept, until the end.

use crate::lasting::Pins;
use sandboxd_broker_plan::seen::Seen;
use sandboxd_broker_plan::words::Words;

/// What is known of tools, where that is kept.
pub(super) struct Keeper {
    pins: Option<Pins>,
    /// Why something is not kept yet.
    failed: Option<String>,
}

impl Keeper {
    pub(super) const fn new(pins: Option<Pins>) -> Self {
        Self { pins, failed: None }
    }

    /// Takes in what the broker tells.
    ///
    /// # Errors
    /// Where that cannot be.
    pub(super) fn seen(&mut self, seen: &Seen) -> Result<(), String> {
        self.pins.as_mut().map_or(Ok(()), |pins| pins.seen(seen))
    }

    /// The same, in words.
    ///
    /// # Errors
    /// Where that cannot be.
    pub(super) fn says(&mut self, words: &Words) -> Result<(), String> {
        self.pins.as_mut().map_or(Ok(()), |pins| pins.says(words))
    }

    /// Writes down what is new.
    pub(super) fn save(&mut self) {
        let failed = self.pins.as_mut().and_then(|pins| pins.save().err());
        self.failed = failed.map(|error| format!("tool pins were not saved: {}", error.line()));
    }

    /// Writes down the rest, and tells what could not be kept.
    pub(super) fn close(&mut self) -> Option<String> {
        self.save();
        self.failed.take()
    }
}
