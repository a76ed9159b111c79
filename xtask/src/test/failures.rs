//! What failed, to be said once more at the end: of a long log people, and CI services, keep the end.

/// The lines that tell of failures.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) lines: Vec<String>,
    within: Option<Part>,
}

/// What the line before belonged to.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// The part of a test program under `cargo test` in which what failed says why.
    Program,
    /// A case, of which the lines behind the first are indented.
    Case,
}

impl Failures {
    /// Listens to a line of `cargo test` or of the harness.
    pub(super) fn hear(&mut self, line: &str) {
        self.within = match self.within {
            _ if line.starts_with("FAILED ") => Some(Part::Case),
            _ if line == "failures:" => Some(Part::Program),
            Some(Part::Program) if !line.starts_with("test result: ") => Some(Part::Program),
            Some(Part::Case) if line.starts_with("    ") => Some(Part::Case),
            _ => None,
        };
        if self.within.is_some() {
            self.lines.push(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_kept_with_its_reason_and_nothing_else() {
        let mut failures = Failures::default();
        let log = "\
test tests::one ... FAILED

successes:

---- tests::two stdout ----
FINE

failures:

---- tests::one stdout ----
thread 'tests::one' panicked at tests/a.rs:1:2:

failures:
    tests::one

test result: FAILED. 1 passed; 1 failed
ok   a_case 0.10 s
    which says something
FAILED b_case (as a user) 0.20 s: first
    second
ok   c_case 0.10 s";
        log.lines().for_each(|line| failures.hear(line));
        let kept = "\
failures:

---- tests::one stdout ----
thread 'tests::one' panicked at tests/a.rs:1:2:

failures:
    tests::one

FAILED b_case (as a user) 0.20 s: first
    second";
        assert_eq!(failures.lines.join("\n"), kept);
    }
}
