//! How many tests passed, failed and were not run.

use std::fmt;

/// Counts of tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// One of those that are taken for passed.
    pub(super) fn was_not_run(&mut self) {
        self.skipped += 1;
        self.passed = self.passed.saturating_sub(1);
    }

    /// From the closing line of one test program under `cargo test`.
    pub(super) fn of_cargo(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut tally = Self::default();
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((count, "passed")) => tally.passed = count.parse().ok()?,
                Some((count, "failed")) => tally.failed = count.parse().ok()?,
                Some((count, "ignored")) => tally.skipped = count.parse().ok()?,
                _ => {}
            }
        }
        Some(tally)
    }

    /// From the closing line of the harness, which is written as this type is.
    pub(super) fn of_ours(line: &str) -> Option<Self> {
        let mut parts = line.split(", ");
        let mut count = |word| parts.next()?.strip_suffix(word)?.trim_end().parse().ok();
        let (passed, failed) = (count("passed")?, count("failed")?);
        let skipped = count("skipped").unwrap_or(0);
        Some(Self { passed, failed, skipped })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(to, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_cargo_are_read() {
        let line = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s";
        assert_eq!(Tally::of_cargo(line), Some(Tally { passed: 7, failed: 2, skipped: 1 }));
        assert_eq!(Tally::of_cargo("test a::b ... ok"), None);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for tally in [
            Tally { passed: 3, failed: 0, skipped: 0 },
            Tally { passed: 0, failed: 12, skipped: 4 },
        ] {
            assert_eq!(Tally::of_ours(&tally.to_string()), Some(tally));
        }
        assert_eq!(Tally::of_ours("3 passed"), None);
        assert_eq!(Tally::of_ours("all 3 passed, 0 failed"), None);
    }
}
