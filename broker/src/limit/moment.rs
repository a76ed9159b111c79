//! Time, as it is told.

use sandboxd_broker_plan::Millis;

/// A point in time: nanoseconds of a clock that goes on while the machine sleeps (CLOCK_BOOTTIME).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// This much later; the end of time where that is too late.
    #[must_use]
    pub const fn after(self, millis: Millis) -> Self {
        Self(self.0.saturating_add(millis.0.saturating_mul(1_000_000)))
    }

    /// Milliseconds since an earlier moment.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0) / 1_000_000)
    }

    /// Seconds until a later moment, rounded up and at least one: what a caller is told to wait.
    #[must_use]
    pub const fn until(self, later: Self) -> Wait {
        let seconds = later.0.saturating_sub(self.0).div_ceil(1_000_000_000);
        Wait::Seconds(if seconds == 0 { 1 } else { seconds })
    }
}

/// How long a caller that was refused should wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// So many seconds.
    Seconds(u64),
    /// It will not become possible.
    Never,
}
