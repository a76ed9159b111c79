//! What counts, and how it is written.

use super::*;
use sandboxd_audit::record::{Actor, CallOf};
use serde_json::json;

const AUDITED: Audited = Audited { up: true, lag: Duration::ZERO, unsigned: Duration::ZERO };

fn record(kind: Kind, decision: &'static str, rule: Option<&str>) -> Record {
    let mut record = Record::of(kind);
    record.actor = Some(Actor { agent: String::from("agent"), ..Actor::default() });
    let callee = Some(String::from("tool"));
    record.call = Some(CallOf { callee, sandbox: None, connection: 1, instance: 1, number: 1 });
    record.method = Some(String::from("tools/call"));
    record.tool = Some(String::from("re\"ad_*"));
    record.decision = Some(decision);
    record.rule = rule.map(str::to_owned);
    record
}

#[test]
fn what_could_not_be_executed_does_not_go_on() {
    let meter = Meter::default();
    meter.count(&record(Kind::Started, "allowed", None));
    let mut ended = record(Kind::Ended, "", None);
    ended.result = json!({ "not_started": true });
    meter.count(&ended);
    let text = meter.text(AUDITED);
    for line in [
        "sandboxd_sandboxes{profile=\"agent\"} 0",
        "sandboxd_sandboxes_ended_total{profile=\"agent\",outcome=\"not_started\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
    }
}

#[test]
fn a_call_is_counted_when_it_is_decided_and_when_it_ends() {
    let meter = Meter::default();
    meter.count(&record(Kind::Call, "allowed", None));
    meter.count(&record(Kind::Call, "allowed", None));
    meter.count(&record(Kind::Call, "refused", Some("rate")));
    let mut answer = record(Kind::Answered, "", None);
    answer.result = json!({ "status": "answered", "bytes": 3, "ms": 7 });
    meter.count(&answer);
    let text = meter.text(AUDITED);
    for line in [
        "sandboxd_calls_total{caller=\"agent\",callee=\"tool\",method=\"tools/call\",tool=\"re\\\"ad_*\",decision=\"allowed\"} 2",
        "sandboxd_calls_in_flight{caller=\"agent\",callee=\"tool\"} 1",
        "sandboxd_limiter_denied_total{caller=\"agent\",bucket=\"rate\"} 1",
        "sandboxd_call_duration_seconds_bucket{caller=\"agent\",callee=\"tool\",le=\"0.005\"} 0",
        "sandboxd_call_duration_seconds_bucket{caller=\"agent\",callee=\"tool\",le=\"0.010\"} 1",
        "sandboxd_call_duration_seconds_bucket{caller=\"agent\",callee=\"tool\",le=\"+Inf\"} 1",
        "sandboxd_call_duration_seconds_sum{caller=\"agent\",callee=\"tool\"} 0.007",
        "gateway_requests_total 3",
        "gateway_errors_total 1",
        "gateway_active_connections 1",
        "sandboxd_audit_up 1",
        "sandboxd_approvals_pending 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_has_a_family_of_its_own_is_no_notice() {
    let meter = Meter::default();
    for rule in ["struck", "tool_changed", "breaker_opened"] {
        meter.count(&record(Kind::Noticed, "", Some(rule)));
    }
    let text = meter.text(AUDITED);
    for line in [
        "sandboxd_notices_total{caller=\"agent\",what=\"struck\"} 1",
        "sandboxd_tool_pin_changes_total{callee=\"tool\"} 1",
        "sandboxd_breaker_opened_total{callee=\"tool\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert_eq!(text.matches("sandboxd_notices_total{").count(), 1);
}

#[test]
fn no_family_has_more_series_than_it_may() {
    let meter = Meter::default();
    for number in 0..SERIES + 10 {
        let mut call = record(Kind::Call, "allowed", None);
        call.tool = Some(format!("tool-{number}"));
        meter.count(&call);
    }
    let counts = meter.counts();
    let series = counts.numbers.get(&Of::Calls).unwrap();
    assert_eq!(series.len(), SERIES + 1);
    assert_eq!(series.get(&vec![OTHERS.to_owned(); 5]), Some(&10));
}

#[test]
fn every_family_is_told_once_and_with_its_meaning() {
    let text = Meter::default().text(AUDITED);
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), once.len());
    assert!(names.iter().all(|name| text.contains(&format!("# HELP {name} "))));
    for family in family::ALL {
        assert_eq!(family.name.ends_with("_total"), family.kind == "counter", "{}", family.name);
    }
}
