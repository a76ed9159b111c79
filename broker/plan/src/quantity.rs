//! Amounts, times and rates. None of them has a value that means "not said".

use serde::{Deserialize, Serialize};

/// At most so many, or any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// No more than this; 0 allows nothing.
    AtMost(u64),
    /// Any number.
    Unlimited,
}

impl Bound {
    /// Whether one more fits beside those that are there.
    #[must_use]
    pub const fn admits(self, there: u64) -> bool {
        match self {
            Self::AtMost(most) => there < most,
            Self::Unlimited => true,
        }
    }

    /// How much it is at most; nothing where there is no limit.
    #[must_use]
    pub const fn most(self) -> Option<u64> {
        match self {
            Self::AtMost(most) => Some(most),
            Self::Unlimited => None,
        }
    }
}

/// A number of bytes. Always a limit: what is read is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rate {
    /// So many in each period, of which `burst` may come at once. A `count` or a `burst` of 0 allows
    /// nothing.
    Per {
        /// How many in a period.
        count: u32,
        /// The period.
        period: Millis,
        /// How many at once.
        burst: u32,
    },
    /// As often as one likes.
    Unlimited,
}

impl Rate {
    /// How many in a day, however many may come at once; `u64::MAX` where that is unlimited.
    #[must_use]
    pub fn a_day(self) -> u64 {
        match self {
            Self::Per { count, period, .. } => {
                u64::from(count).saturating_mul(86_400_000) / period.0.max(1)
            }
            Self::Unlimited => u64::MAX,
        }
    }

    /// How many may come at once; `u64::MAX` where that is unlimited.
    #[must_use]
    pub fn at_once(self) -> u64 {
        match self {
            Self::Per { burst, .. } => u64::from(burst),
            Self::Unlimited => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_admits_nothing_and_unlimited_is_a_word() {
        assert!(!Bound::AtMost(0).admits(0));
        assert!(Bound::AtMost(1).admits(0));
        assert!(!Bound::AtMost(1).admits(1));
        assert!(Bound::Unlimited.admits(u64::MAX));
        assert_eq!(serde_json::to_string(&Bound::Unlimited).unwrap(), "\"unlimited\"");
        assert_eq!(serde_json::to_string(&Bound::AtMost(8)).unwrap(), "{\"at-most\":8}");
    }
}
