//! What callees have before them, for whoever watches.

use super::Relay;
use crate::limit::{Fuse, Position};

/// What one has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// Its breaker; of several, the one that lets the least through.
    pub breaker: Position,
}

impl Relay {
    /// Those that have another than when this was last asked, by their places in the plan.
    pub fn loads(&mut self) -> Vec<(usize, Load)> {
        let callees = self.callees.iter_mut().enumerate();
        let changed = callees.filter_map(|(place, state)| {
            let breaker = state.fuses.values().map(Fuse::position).max().unwrap_or_default();
            let load = Load { waiting: state.queue.waiting(), breaker };
            (std::mem::replace(&mut state.told, load) != load).then_some((place, load))
        });
        changed.collect()
    }
}
