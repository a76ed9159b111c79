//! What is held of all streams together: lines that have not ended, calls that wait, and what waits to be read.
//! Each stream has bounds of its own; but whoever reads nothing on many of them must not end the broker for everybody.

use super::{Carrier, Owner, Whose};
use crate::relay::Input;
use std::{collections::BTreeMap, io};

/// The most of it. The broker has 256 MiB (`profiles/builtin/broker.toml`): the others are for one line of 64 MiB at
/// most while it is read, once as a value and once as what is made of it, and for what schemas take.
pub(super) const MOST: usize = 96 << 20;

/// What a byte of a message takes at most, once that is a value: one of two bytes is a number in a list.
const AS_VALUE: usize = 32;

impl Carrier {
    /// So much was read.
    pub(super) fn heard(&mut self, bytes: usize) {
        self.held = self.held.saturating_add(bytes.saturating_mul(AS_VALUE));
    }

    /// Whether so much is held that nothing is to be read of what leads to somebody for whom more than a little waits.
    pub(super) fn is_short(&mut self) -> bool {
        let much = self.most / 2;
        if self.held > much {
            self.count();
        }
        self.held > much
    }

    /// Whether what somebody writes leads to one who does not read.
    pub(super) fn held_up(&self, whose: Whose) -> bool {
        let full = |whose| self.full.contains(&whose);
        match whose {
            Whose::Caller(id) => {
                full(whose) || self.relay.instance(id).is_some_and(|it| full(Whose::Callee(it)))
            }
            Whose::Callee(id) => {
                self.relay.owner(id).is_some_and(|owner| full(Whose::Caller(owner)))
            }
            Whose::Approver(_) => full(whose),
        }
    }

    /// What is held is no more than was added since it was counted.
    pub(super) fn count(&mut self) {
        self.held = self.streams.keys().map(|whose| self.held_for(*whose)).sum();
    }

    /// What is held for one, and where it is a caller with an instance of its own, for that.
    fn held_for(&self, whose: Whose) -> usize {
        let unsent = |whose| self.streams.get(&whose).map_or(0, super::Stream::unsent);
        let of_instance = |id| unsent(Whose::Callee(id)) + self.relay.held_of(id);
        match whose {
            Whose::Caller(id) => {
                let instance = self.relay.instance(id);
                let own = instance.filter(|it| self.relay.owner(*it) == Some(id));
                let left = self.left.get(&id).map_or(0, Vec::len);
                unsent(whose) + left + self.relay.held_for(id) + own.map_or(0, of_instance)
            }
            Whose::Callee(id) if self.relay.owner(id).is_some() => 0,
            Whose::Callee(id) => of_instance(id),
            Whose::Approver(_) => unsent(whose),
        }
    }

    /// Of whoever holds most by all its connections together, the one that holds most: who has many is no less in the
    /// way than who has one.
    fn heaviest(&self) -> Option<Whose> {
        let holder = |whose: Whose| match whose {
            Whose::Caller(id) => self.relay.caller(id).ok_or(whose),
            Whose::Callee(_) | Whose::Approver(_) => Err(whose),
        };
        let mut holders = BTreeMap::new();
        for whose in self.streams.keys() {
            let held = self.held_for(*whose);
            let (all, most) = holders.entry(holder(*whose)).or_insert((0_usize, (0, *whose)));
            *all = all.saturating_add(held);
            *most = (held, *whose).max(*most);
        }
        let (_, (_, whose)) = holders.into_values().max_by_key(|(all, _)| *all)?;
        Some(whose)
    }

    /// Lets go of those for whom most is held, until all together hold no more than they may.
    pub(super) fn relieve(&mut self, owner: &mut impl Owner) -> io::Result<()> {
        self.held = self.held.saturating_add(self.relay.weighed());
        if self.held > self.most {
            self.count();
        }
        while self.held > self.most {
            let Some(whose) = self.heaviest() else { break };
            if let Some(stream) = self.streams.get_mut(&whose) {
                stream.give_up();
                self.touched.push(whose);
            }
            self.forget_left(whose);
            match whose {
                Whose::Caller(id) => self.follow(Input::CallerHolds(id), owner)?,
                Whose::Callee(id) => self.follow(Input::CalleeHolds(id), owner)?,
                Whose::Approver(_) => {}
            }
            self.count();
        }
        Ok(())
    }
}
