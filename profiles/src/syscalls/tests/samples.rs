//! Arguments worth trying: what the checks compare with, and what lies next to it.

use super::super::{
    Check, Verdict,
    data::{Condition, Test},
};

/// A small generator (xorshift64), so that a failure can be repeated.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick(&mut self, from: &[u32]) -> u32 {
        let length = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.next() % length).unwrap()]
    }
}

/// Some hundred sets of arguments for a call with these checks, half of them with junk in the upper
/// half of every argument.
pub(super) fn arguments(verdict: &Verdict, random: &mut Random) -> Vec<[u64; 6]> {
    let Verdict::Conditional(checks) = verdict else {
        return vec![[0; 6], [u64::MAX; 6], [0; 6].map(|_: u64| random.next())];
    };
    let pools: Vec<Vec<u32>> = (0..6).map(|argument| pool(checks, argument)).collect();
    (0..250)
        .map(|round| {
            std::array::from_fn(|argument| {
                let low = u64::from(random.pick(&pools[argument]));
                if round % 2 == 0 { low } else { low | random.next() << 32 }
            })
        })
        .collect()
}

fn pool(checks: &[&Check], argument: u8) -> Vec<u32> {
    let mut pool = vec![0, 1, u32::MAX];
    for condition in checks.iter().flat_map(|check| check.when) {
        if condition.argument == argument {
            let values = match condition.test {
                Test::Is(values) | Test::Not(values) => values,
                Test::Given => &[0],
            };
            for value in values.iter().chain([&condition.mask]) {
                // The value itself is taken more often than its neighbours, so that
                // checks of several arguments are met as well as missed.
                pool.extend([*value, *value, *value, value.wrapping_add(1), value ^ 0x8_0000]);
            }
            pool.extend((0..32).map(|bit| 1 << bit).filter(|bit| condition.mask & bit != 0));
        }
    }
    pool
}

/// Whether the check refuses these arguments, by the words of its description.
pub(super) fn refuses(check: &Check, arguments: &[u64; 6]) -> bool {
    check.when.iter().all(|Condition { argument, mask, test }| {
        let whole = arguments[usize::from(*argument)];
        let low = u32::try_from(whole & 0xffff_ffff).unwrap() & mask;
        match test {
            Test::Is(values) => values.contains(&low),
            Test::Not(values) => !values.contains(&low),
            Test::Given => whole != 0,
        }
    })
}
