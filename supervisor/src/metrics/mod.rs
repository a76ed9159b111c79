//! What a run has done so far, in numbers, for whoever watches many of them.
//!
//! Whatever is told to the audit log is counted here by the same record, whether that is written, left out or
//! lost: the two cannot differ in what they mean. Labels are the operator's own words (profiles, tools as they
//! stand in a profile) and words of closed lists, so that no agent makes one more series by what it writes.
//!
//! Read in this order: [`family`] (what there is), this (what counts), [`text`] (how it is written), [`listen`]
//! (who may read it).

mod family;
mod listen;
mod text;

use family::Of;
use sandboxd_audit::time::Stamp;
use sandboxd_audit::{Kind, Record};
use sandboxd_broker::limit::Position;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use listen::{Scraped, To};

/// How many series a family has at most. What would be one more is counted as [`OTHERS`].
const SERIES: usize = 2048;
const OTHERS: &str = "others";

/// The upper bounds of the buckets of a histogram, in milliseconds.
const BOUNDS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 30_000, 60_000];

/// The numbers of this process. A clone counts together with it.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<Counts>>);

/// What was counted, by the labels of each family.
#[derive(Default)]
struct Counts {
    numbers: BTreeMap<Of, BTreeMap<Vec<String>, u64>>,
    took: BTreeMap<Vec<String>, Histogram>,
}

/// How long something took.
#[derive(Default, Clone)]
struct Histogram {
    /// How many took no longer than each bound and longer than the one before; the last, than all.
    counts: [u64; BOUNDS.len() + 1],
    millis: u64,
}

/// How far the audit log is behind what was told to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Audited {
    /// Whether all that was told can be brought to the disk, as far as is known.
    pub(crate) up: bool,
    /// Since when records wait to be on the disk.
    pub(crate) lag: Duration,
    /// Since when records wait for a checkpoint.
    pub(crate) unsigned: Duration,
    /// When the last checkpoint was made, where one was.
    pub(crate) signed: Option<Stamp>,
}

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Whoever panics ends this process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what a record tells.
    pub(crate) fn count(&self, record: &Record) {
        self.counts().count(record);
    }

    /// So many records could not be written.
    pub(crate) fn lost(&self, records: u64) {
        let mut counts = self.counts();
        let lost = counts.number(Of::AuditLost, &[]);
        *lost = lost.saturating_add(records);
    }

    /// So many calls wait for somebody to approve them.
    pub(crate) fn waiting(&self, calls: u64) {
        self.counts().set(Of::ApprovalsPending, &[], calls);
    }

    /// So many calls wait for their turn with a callee, whose breaker is this.
    pub(crate) fn load(&self, callee: &str, calls: u64, breaker: Position) {
        let mut counts = self.counts();
        counts.set(Of::QueueDepth, &[callee], calls);
        counts.set(Of::BreakerState, &[callee], breaker.number());
    }

    /// All of it, as Prometheus reads it.
    pub(crate) fn text(&self, audited: Audited) -> String {
        text::written(&self.counts(), audited)
    }
}

impl Counts {
    fn count(&mut self, record: &Record) {
        let agent = record.actor.as_ref().map(|actor| actor.agent.as_str()).unwrap_or_default();
        let callee = record.call.as_ref().and_then(|call| call.callee.as_deref());
        let callee = callee.unwrap_or_default();
        let decision = record.decision.unwrap_or_default();
        let rule = record.rule.as_deref().unwrap_or_default();
        match record.kind {
            Kind::Started => {
                self.add(Of::Started, &[agent]);
                self.add(Of::Running, &[agent]);
                self.features(&record.receipt);
            }
            Kind::Refused => self.add(Of::NotStarted, &[agent, rule]),
            Kind::Ended => {
                self.take(Of::Running, &[agent]);
                self.add(Of::Ended, &[agent, outcome(&record.result)]);
                self.went_out(agent, record.result.get("egress"));
            }
            Kind::Connected => self.add(Of::Connections, &[agent, decision]),
            Kind::Call => {
                self.called(record, [agent, callee, decision, rule]);
                self.used(record, agent);
            }
            // How much went out is counted at the end, where none is left out.
            Kind::Egress | Kind::Signature => self.used(record, agent),
            Kind::Approval => self.add(Of::Approvals, &[agent, callee, decision]),
            Kind::Answered => self.answered(record, [agent, callee, rule]),
            Kind::Noticed => match rule {
                "tool_changed" => self.add(Of::PinChanges, &[callee]),
                "breaker_opened" => self.add(Of::BreakerOpened, &[callee]),
                _ => self.add(Of::Notices, &[agent, rule]),
            },
            Kind::Header
            | Kind::Checkpoint
            | Kind::Rotated
            | Kind::Closed
            | Kind::Gap
            | Kind::Index
            | Kind::LogOpened
            | Kind::LogClosed
            | Kind::Recovered
            | Kind::Removed
            | Kind::Revoked
            | Kind::Pins
            | Kind::SecretRotated
            | Kind::LeftOut => {}
        }
    }

    fn called(&mut self, record: &Record, [agent, callee, decision, rule]: [&str; 4]) {
        let method = record.method.as_deref().unwrap_or_default();
        let tool = record.tool.as_deref().unwrap_or_default();
        self.add(Of::Calls, &[agent, callee, method, tool, decision]);
        if decision == "allowed" {
            return self.add(Of::InFlight, &[agent, callee]);
        }
        self.add(Of::Denials, &[agent, callee, rule]);
        if matches!(rule, "rate" | "busy" | "breaker" | "quarantine" | "repeats" | "budget") {
            self.add(Of::LimiterDenied, &[agent, rule]);
        }
    }

    /// The secrets that were used, by their names in the profile: each once for a call that they stood in, for a
    /// connection whose requests they were put into, and for a signature.
    fn used(&mut self, record: &Record, agent: &str) {
        // A connection may have been cut off after requests that one was put into.
        if record.kind != Kind::Egress && record.decision != Some("allowed") {
            return;
        }
        let names = record.result.get("secrets").and_then(Value::as_array).into_iter().flatten();
        for name in names.chain(record.result.get("key")).filter_map(Value::as_str) {
            self.add(Of::SecretsUses, &[agent, name]);
        }
    }

    fn answered(&mut self, record: &Record, [agent, callee, rule]: [&str; 3]) {
        self.take(Of::InFlight, &[agent, callee]);
        let told = |key| record.result.get(key);
        let status = told("status").and_then(Value::as_str).unwrap_or_default();
        self.add(Of::Answers, &[agent, callee, if rule.is_empty() { status } else { rule }]);
        let millis = told("ms").and_then(Value::as_u64).unwrap_or(0);
        let place = BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(BOUNDS.len());
        let key = self.key(&[agent, callee]);
        let took = self.took.entry(key).or_default();
        if let Some(count) = took.counts.get_mut(place) {
            *count += 1;
        }
        took.millis = took.millis.saturating_add(millis);
    }

    /// What of a command went out, where anything might.
    fn went_out(&mut self, agent: &str, used: Option<&Value>) {
        let Some(used) = used.filter(|used| !used.is_null()) else { return };
        let number = |of: &Value, key| of.get(key).and_then(Value::as_u64).unwrap_or(0);
        let told = used.get("refused").and_then(Value::as_array).into_iter().flatten();
        let refused: u64 = told.map(|one| number(one, "times")).sum();
        let refused = refused.saturating_add(number(used, "refused_others"));
        for (decision, times) in [("allowed", number(used, "connections")), ("refused", refused)] {
            self.more(Of::Egress, &[agent, decision], times);
        }
        for (direction, key) in [("up", "up_bytes"), ("down", "down_bytes")] {
            let mut rest = number(used, key);
            let entries = used.get("entries").and_then(Value::as_array).into_iter().flatten();
            for one in entries {
                let entry = one.get("entry").and_then(Value::as_str).unwrap_or(OTHERS);
                let bytes = number(one, key);
                rest = rest.saturating_sub(bytes);
                self.more(Of::EgressBytes, &[agent, entry, direction], bytes);
            }
            // Of entries that are not told one by one.
            if rest > 0 {
                self.more(Of::EgressBytes, &[agent, OTHERS, direction], rest);
            }
        }
    }

    /// What the kernel enforces of what was asked for, as the last receipt says.
    fn features(&mut self, receipt: &Value) {
        let layers = receipt.get("layers").and_then(Value::as_array).into_iter().flatten();
        for layer in layers {
            let told = |key| layer.get(key).and_then(Value::as_str).unwrap_or_default();
            let enforced = u64::from(told("state") == "enforced");
            self.set(Of::KernelFeature, &[told("name")], enforced);
        }
    }

    /// The histograms have as many series as any other family.
    fn key(&self, labels: &[&str]) -> Vec<String> {
        let key = owned(labels);
        let full = self.took.len() >= SERIES && !self.took.contains_key(&key);
        if full { vec![OTHERS.to_owned(); labels.len()] } else { key }
    }

    fn number(&mut self, of: Of, labels: &[&str]) -> &mut u64 {
        let series = self.numbers.entry(of).or_default();
        let mut key = owned(labels);
        if series.len() >= SERIES && !series.contains_key(&key) {
            key = vec![OTHERS.to_owned(); labels.len()];
        }
        series.entry(key).or_default()
    }

    fn add(&mut self, of: Of, labels: &[&str]) {
        self.more(of, labels, 1);
    }

    fn more(&mut self, of: Of, labels: &[&str], by: u64) {
        let number = self.number(of, labels);
        *number = number.saturating_add(by);
    }

    fn take(&mut self, of: Of, labels: &[&str]) {
        let number = self.number(of, labels);
        *number = number.saturating_sub(1);
    }

    fn set(&mut self, of: Of, labels: &[&str], value: u64) {
        *self.number(of, labels) = value;
    }

    fn sum(&self, of: Of, of_these: impl Fn(&[String]) -> bool) -> u64 {
        let series = self.numbers.get(&of).into_iter().flatten();
        series.filter(|(labels, _)| of_these(labels)).map(|(_, number)| number).sum()
    }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// How a command ended, in a word.
fn outcome(result: &Value) -> &'static str {
    let flag = |key| result.get(key).and_then(Value::as_bool).unwrap_or_default();
    match result.get("exit").and_then(Value::as_u64) {
        _ if flag("not_started") => "not_started",
        _ if flag("timeout") => "timeout",
        _ if flag("cpu_limit") => "cpu_limit",
        _ if flag("oom") => "oom",
        Some(0) => "success",
        Some(_) => "failure",
        None => "signal",
    }
}

#[cfg(test)]
mod tests;
