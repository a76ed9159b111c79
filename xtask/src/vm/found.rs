//! What the guests found, held against what was to be found.

use super::matrix::{Kernel, Offers};
use crate::tree::Tree;
use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What became of a case.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Passed,
    Failed,
    #[serde(rename = "not run")]
    NotRun,
}

/// A line that a guest tells.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Started {
        #[allow(dead_code, reason = "its presence is what is told")]
        started: bool,
    },
    Facts {
        facts: Facts,
    },
    Case {
        case: String,
        outcome: Outcome,
    },
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
    release: String,
    landlock: i64,
    cgroups: String,
    controllers: BTreeSet<String>,
    memfd_noexec: bool,
    pidfd_process_group: bool,
    systemd: u32,
}

/// Everything that one guest told.
#[derive(Default)]
pub(super) struct Found {
    started: bool,
    done: bool,
    facts: Option<Facts>,
    cases: BTreeMap<String, Outcome>,
    steps: Vec<(String, i32)>,
}

impl Found {
    pub(super) fn add(&mut self, line: Line) {
        match line {
            Line::Started { .. } => self.started = true,
            Line::Done { .. } => self.done = true,
            Line::Facts { facts } => self.facts = Some(facts),
            Line::Step { step, status } => self.steps.push((step, status)),
            Line::Case { case, outcome } => {
                // A case that ran as one user and not as the other ran.
                let known = self.cases.entry(case).or_insert(outcome);
                if outcome == Outcome::Failed || *known == Outcome::NotRun {
                    *known = outcome;
                }
            }
        }
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
    fn differences(&self, offers: &Offers) -> Vec<String> {
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

/// What came of all kernels.
#[derive(Default)]
pub(super) struct Verdict {
    wrong: Vec<String>,
    /// Every case, and whether it ran on any of them.
    ran: BTreeMap<String, bool>,
    rows: Vec<String>,
}

impl Verdict {
    pub(super) fn add(&mut self, kernel: &Kernel, found: Found) {
        let name = &kernel.name;
        self.wrong.extend(
            found.differences(&kernel.offers).into_iter().map(|what| format!("{name}: {what}")),
        );
        let mut counts = [0_u32; 3];
        for (case, outcome) in &found.cases {
            let [passed, failed, skipped] = &mut counts;
            match outcome {
                Outcome::Passed => *passed += 1,
                Outcome::NotRun => *skipped += 1,
                Outcome::Failed => {
                    *failed += 1;
                    self.wrong.push(format!("{name}: {case} failed"));
                }
            }
            *self.ran.entry(case.clone()).or_default() |= *outcome != Outcome::NotRun;
        }
        for (step, status) in found.steps.iter().filter(|(_, status)| *status != 0) {
            self.wrong.push(format!("{name}: {step} ended with status {status}"));
        }
        let release = found.facts.map(|facts| facts.release).unwrap_or_default();
        let [passed, failed, skipped] = counts;
        self.rows.push(format!(
            "{name:<14} {release:<28} {passed} passed, {failed} failed, {skipped} not run"
        ));
    }

    /// `whole` where everything was run that there is: then every case must have run somewhere.
    pub(super) fn judge(mut self, _tree: &Tree, whole: bool) -> Result<()> {
        println!();
        for row in &self.rows {
            println!("{row}");
        }
        if whole {
            let nowhere = self.ran.iter().filter(|(_, ran)| !**ran);
            self.wrong.extend(nowhere.map(|(case, _)| format!("{case} ran nowhere")));
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        bail!("{}", self.wrong.join("\n  "))
    }
}
