//! The numbers as text: the Prometheus exposition format, version 0.0.4.

use super::family::{self, Of};
use super::{Audited, BOUNDS, Counts};
use std::fmt::Write as _;

/// How long calls took.
const TOOK: &str = "sandboxd_call_duration_seconds";
const TOOK_HELP: &str = "Time from request to answer of calls that were forwarded.";

/// Everything. Families that have no series yet are told with their meaning alone, but for those without
/// labels, which are 0.
pub(super) fn written(counts: &Counts, audited: Audited) -> String {
    let mut text = String::new();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    head(&mut text, "sandboxd_build_info", "gauge", "1, by the version of sandboxd.");
    line(&mut text, "sandboxd_build_info", &version, "1");
    for family in family::ALL {
        head(&mut text, family.name, family.kind, family.help);
        let series = counts.numbers.get(&family.of);
        if series.is_none() && family.labels.is_empty() {
            line(&mut text, family.name, &[], "0");
        }
        for (labels, number) in series.into_iter().flatten() {
            let labels: Vec<(&str, &str)> =
                family.labels.iter().copied().zip(labels.iter().map(String::as_str)).collect();
            line(&mut text, family.name, &labels, &number.to_string());
        }
    }
    took(&mut text, counts);
    let flag = u64::from(audited.up).to_string();
    for (name, help, value) in [
        ("sandboxd_audit_up", "1 if all records can be written to disk.", flag),
        (
            "sandboxd_audit_lag_seconds",
            "How long the oldest record that is not on disk has waited.",
            seconds(audited.lag.as_millis()),
        ),
        (
            "sandboxd_audit_unsigned_seconds",
            "How long the oldest record that no checkpoint covers has waited.",
            seconds(audited.unsigned.as_millis()),
        ),
        (
            "sandboxd_audit_last_checkpoint_timestamp_seconds",
            "When records were signed last, in seconds since 1970; 0 where none were yet.",
            seconds(u128::from(audited.signed.map_or(0, |signed| signed.0))),
        ),
    ] {
        head(&mut text, name, "gauge", help);
        line(&mut text, name, &[], &value);
    }
    aliases(&mut text, counts);
    text
}

fn took(text: &mut String, counts: &Counts) {
    head(text, TOOK, "histogram", TOOK_HELP);
    for (labels, took) in &counts.took {
        let [caller, callee] = labels.as_slice() else { continue };
        let who = [("caller", caller.as_str()), ("callee", callee.as_str())];
        let bounds = BOUNDS.iter().map(|bound| seconds(u128::from(*bound)));
        let mut all = 0;
        for (bound, count) in bounds.chain([String::from("+Inf")]).zip(took.counts) {
            all += count;
            let labels = [who[0], who[1], ("le", bound.as_str())];
            line(text, &format!("{TOOK}_bucket"), &labels, &all.to_string());
        }
        line(text, &format!("{TOOK}_sum"), &who, &seconds(u128::from(took.millis)));
        line(text, &format!("{TOOK}_count"), &who, &all.to_string());
    }
}

/// The same under names that boards of other gateways ask for.
fn aliases(text: &mut String, counts: &Counts) {
    let all = |_: &[String]| true;
    let refused = |labels: &[String]| labels.last().is_some_and(|last| last == "refused");
    let failed = |labels: &[String]| {
        labels.last().is_some_and(|last| !matches!(last.as_str(), "answered" | "cancelled"))
    };
    let (refused, failed) = (counts.sum(Of::Calls, refused), counts.sum(Of::Answers, failed));
    for (name, kind, help, value) in [
        (
            "gateway_requests_total",
            "counter",
            "All of sandboxd_calls_total.",
            counts.sum(Of::Calls, all),
        ),
        (
            "gateway_errors_total",
            "counter",
            "Calls that were denied, and those that ended without an answer or with an error.",
            refused + failed,
        ),
        (
            "gateway_active_connections",
            "gauge",
            "All of sandboxd_calls_in_flight.",
            counts.sum(Of::InFlight, all),
        ),
    ] {
        head(text, name, kind, help);
        line(text, name, &[], &value.to_string());
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // A string takes whatever is written to it.
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: &str) {
    text.push_str(name);
    for (place, (label, value)) in labels.iter().enumerate() {
        text.push(if place == 0 { '{' } else { ',' });
        write!(text, "{label}=\"{}\"", escaped(value)).ok();
    }
    if !labels.is_empty() {
        text.push('}');
    }
    writeln!(text, " {value}").ok();
}

/// As the format has it: these three, and nothing else.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(millis: u128) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
