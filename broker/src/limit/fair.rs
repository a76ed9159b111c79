//! Who waits, and who comes next: deficit round robin over callers, so that one that sends much waits
//! behind itself and not others behind it.

use std::collections::VecDeque;

/// What each caller may take in its turn, in bytes.
const QUANTUM: u64 = 4096;

/// Entries that wait, each with its size, in the turns of those who sent them.
#[derive(Debug)]
pub struct Fair<K, T> {
    turns: VecDeque<Turn<K, T>>,
}

#[derive(Debug)]
struct Turn<K, T> {
    who: K,
    deficit: u64,
    waiting: VecDeque<(T, u64)>,
}

impl<K: PartialEq + Copy, T: PartialEq + Copy> Fair<K, T> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { turns: VecDeque::new() }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.turns.iter().map(|turn| turn.waiting.len()).sum()
    }

    /// Waits behind what the same caller sent before. A small one counts as much as a turn: to carry
    /// it costs what it costs.
    pub fn push(&mut self, who: K, entry: T, size: u64) {
        let size = size.max(QUANTUM);
        match self.turns.iter_mut().find(|turn| turn.who == who) {
            Some(turn) => turn.waiting.push_back((entry, size)),
            None => {
                let waiting = VecDeque::from([(entry, size)]);
                self.turns.push_back(Turn { who, deficit: QUANTUM, waiting });
            }
        }
    }

    /// Waits no longer.
    pub fn remove(&mut self, entry: T) {
        for turn in &mut self.turns {
            turn.waiting.retain(|(other, _)| *other != entry);
        }
        self.turns.retain(|turn| !turn.waiting.is_empty());
    }

    /// Takes the next whose turn it is and who is ready; an entry that is not ready holds up only its
    /// own caller.
    pub fn pop(&mut self, ready: impl Fn(T) -> bool) -> Option<T> {
        let can = |turn: &Turn<K, T>| turn.waiting.front().is_some_and(|(entry, _)| ready(*entry));
        if !self.turns.iter().any(can) {
            return None;
        }
        loop {
            let mut turn = self.turns.pop_front()?;
            let size = turn.waiting.front().map_or(0, |(_, size)| *size);
            if !can(&turn) {
                self.turns.push_back(turn);
            } else if turn.deficit < size {
                turn.deficit = turn.deficit.saturating_add(QUANTUM);
                self.turns.push_back(turn);
            } else {
                turn.deficit -= size;
                let (entry, _) = turn.waiting.pop_front()?;
                // Who has nothing more to send has nothing to save up for.
                if !turn.waiting.is_empty() {
                    self.turns.push_front(turn);
                }
                return Some(entry);
            }
        }
    }
}

impl<K: PartialEq + Copy, T: PartialEq + Copy> Default for Fair<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_floods_waits_behind_itself() {
        let mut queue = Fair::new();
        for entry in 0..1000 {
            queue.push('a', entry, 4096);
        }
        queue.push('b', 5000, 4096);
        queue.push('c', 6000, 4096);
        let first: Vec<_> = (0..4).map_while(|_| queue.pop(|_| true)).collect();
        assert!(first.contains(&5000) && first.contains(&6000), "{first:?}");
    }

    #[test]
    fn shares_are_in_bytes_and_the_order_of_each_is_kept() {
        let mut queue = Fair::new();
        for entry in 0..10 {
            queue.push('a', entry, 40_960);
        }
        for entry in 100..200 {
            queue.push('b', entry, 4096);
        }
        let order: Vec<i32> = std::iter::from_fn(|| queue.pop(|_| true)).collect();
        assert_eq!(order.len(), 110);
        let large = order[..55].iter().filter(|entry| **entry < 100).count();
        assert!((3..=7).contains(&large), "{large} large ones in the first half");
        for range in [0..100, 100..200] {
            let own: Vec<_> = order.iter().filter(|entry| range.contains(*entry)).collect();
            assert!(own.is_sorted());
        }
    }

    #[test]
    fn what_is_not_ready_holds_up_nobody_else_and_what_left_is_not_there() {
        let mut queue = Fair::new();
        queue.push('a', 1, 1);
        queue.push('b', 2, 1);
        assert_eq!(queue.pop(|entry| entry != 1), Some(2));
        assert_eq!(queue.pop(|entry| entry != 1), None);
        queue.remove(1);
        assert_eq!(queue.pop(|_| true), None);
    }
}
