//! `xtask/tidy-exceptions.txt`: `rule subject reason…`, one per line.

use super::Finding;
use crate::tree::Tree;
use anyhow::{Context as _, Result};

const LIST: &str = "xtask/tidy-exceptions.txt";

/// What is right as it is, and why.
pub(super) struct Exceptions(Vec<Exception>);

struct Exception {
    rule: String,
    subject: String,
    used: bool,
}

impl Exceptions {
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        Self::parse(&tree.read(LIST)?)
    }

    fn parse(text: &str) -> Result<Self> {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let mut words = line.split_whitespace();
                let (Some(rule), Some(subject), Some(_reason)) =
                    (words.next(), words.next(), words.next())
                else {
                    anyhow::bail!("{LIST}: {line:?} needs a rule, a subject and a reason");
                };
                Ok(Exception { rule: rule.to_owned(), subject: subject.to_owned(), used: false })
            })
            .collect::<Result<_>>()
            .map(Self)
            .context("exceptions")
    }

    /// Whether this finding is excused.
    pub(super) fn excuse(&mut self, finding: &Finding) -> bool {
        let mut excused = false;
        for exception in &mut self.0 {
            if exception.rule == finding.rule && exception.subject == finding.subject {
                exception.used = true;
                excused = true;
            }
        }
        excused
    }

    /// The exceptions that nothing needed, as findings.
    pub(super) fn unused(&self) -> impl Iterator<Item = Finding> {
        self.0.iter().filter(|exception| !exception.used).map(|exception| {
            Finding::new(
                "exceptions",
                LIST,
                format!("nothing needs `{} {}`: remove it", exception.rule, exception.subject),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_for_one_rule_and_one_subject_and_is_reported_when_unused() {
        let mut list =
            Exceptions::parse("# why\n\nfile a.rs it is a table\nfn a.rs:b long\n").unwrap();
        assert!(list.excuse(&Finding::new("file", "a.rs", "")));
        assert!(!list.excuse(&Finding::new("fn", "a.rs", "")));
        let unused: Vec<_> = list.unused().map(|finding| finding.what).collect();
        assert_eq!(unused, ["nothing needs `fn a.rs:b`: remove it"]);
    }

    #[test]
    fn an_exception_without_a_reason_is_refused() {
        assert!(Exceptions::parse("file a.rs\n").is_err());
    }
}
