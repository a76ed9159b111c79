//! What a guest told, held against what its kernel must offer.

use super::matrix::Offers;
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

/// What became of a case.
#[derive(Debug, Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Passed,
    Failed,
    #[serde(rename = "not run")]
    NotRun,
}

/// A case, and as whom it is run.
#[derive(Debug, Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) case: String,
    by: Option<String>,
}

impl fmt::Display for Part {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.by.as_deref() == Some("user") { " (as a user)" } else { "" };
        write!(to, "{}{by}", self.case)
    }
}

/// What came of one.
#[derive(Debug, Serialize, Deserialize, Clone)]
pub(super) struct Told {
    #[serde(flatten)]
    pub(super) part: Part,
    pub(super) outcome: Outcome,
    /// Why it failed or was not run, or not all of it.
    pub(super) why: String,
    pub(super) seconds: f64,
}

/// A line that a guest tells.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Started {
        #[allow(dead_code, reason = "its presence is what is told")]
        started: bool,
    },
    Facts {
        facts: Facts,
    },
    Case(Told),
    Step {
        step: String,
        status: i32,
    },
    Done {
        #[allow(dead_code, reason = "its presence is what is told")]
        done: bool,
    },
}

/// What the harness tells of its host.
#[derive(Deserialize)]
pub(super) struct Facts {
    pub(super) release: String,
    landlock: i64,
    cgroups: String,
    controllers: BTreeSet<String>,
    memfd_noexec: bool,
    pidfd_process_group: bool,
    systemd: u32,
}

/// Everything that guests told; of what was told twice, the later.
#[derive(Default)]
pub(super) struct Found {
    started: bool,
    done: bool,
    pub(super) facts: Option<Facts>,
    pub(super) cases: BTreeMap<Part, Told>,
    pub(super) steps: Vec<(String, i32)>,
}

impl Found {
    /// What one guest told, or has told so far.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut found = Self::default();
        found.add(&fs::read_to_string(path).with_context(|| path.display().to_string())?)?;
        Ok(found)
    }

    /// More of it, later than the rest. A line without an end is one that a guest died over.
    pub(super) fn add(&mut self, text: &str) -> Result<()> {
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            match serde_json::from_str(line).with_context(|| format!("the guest told {line:?}"))? {
                Line::Started { .. } => self.started = true,
                Line::Done { .. } => self.done = true,
                Line::Facts { facts } => self.facts = Some(facts),
                Line::Step { step, status } => self.steps.push((step, status)),
                Line::Case(told) => {
                    self.cases.insert(told.part.clone(), told);
                }
            }
        }
        Ok(())
    }

    /// Whether the job began, and so must not be begun again.
    pub(super) fn is_begun(&self) -> bool {
        self.started
    }

    /// Whether the job came to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.done
    }

    /// An error where the job did not come to its end.
    pub(super) fn whole(self) -> Result<Self> {
        ensure!(self.done, "the guest died during the job");
        Ok(self)
    }

    /// What differs from what the kernel must offer.
    pub(super) fn differences(&self, offers: &Offers) -> Vec<String> {
        let Some(facts) = &self.facts else { return vec!["the guest told no facts".into()] };
        let mut wrong = Vec::new();
        let mut look = |what: &str, found: String, wanted: String| {
            if found != wanted {
                wrong.push(format!("{what} is {found}, and kernels.toml says {wanted}"));
            }
        };
        if !facts.release.starts_with(&offers.release) {
            look("the release", facts.release.clone(), format!("{}…", offers.release));
        }
        if let Some(abi) = offers.landlock {
            look("Landlock's ABI", facts.landlock.to_string(), abi.to_string());
        }
        if let Some(least) = offers.landlock_or_newer.filter(|least| facts.landlock < *least) {
            look("Landlock's ABI", facts.landlock.to_string(), format!("{least} or newer"));
        }
        look("the cgroup hierarchy", facts.cgroups.clone(), offers.cgroups.clone());
        for controller in &offers.controllers {
            if !facts.controllers.contains(controller) {
                look("the controller", "not there".into(), controller.clone());
            }
        }
        look("memfd_noexec", facts.memfd_noexec.to_string(), offers.memfd_noexec.to_string());
        look(
            "pidfd_process_group",
            facts.pidfd_process_group.to_string(),
            offers.pidfd_process_group.to_string(),
        );
        look("systemd", facts.systemd.to_string(), offers.systemd.to_string());
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_word_holds_and_a_line_without_an_end_is_none() {
        let line = |case: &str, outcome: &str| {
            format!(r#"{{"case":"{case}","by":"user","outcome":"{outcome}","why":"","seconds":1}}"#)
        };
        let mut found = Found::default();
        found.add(&format!("{}\n{}", line("a", "failed"), line("b", "passed"))).expect("lines");
        found.add(&format!("{}\n{{\"done\":true}}\n", line("a", "passed"))).expect("lines");
        let told: Vec<_> = found.cases.values().map(|told| told.outcome).collect();
        assert_eq!(told, [Outcome::Passed]);
        assert!(found.is_whole());
        assert!(found.add("{\"case\":1}\n").is_err());
    }
}
