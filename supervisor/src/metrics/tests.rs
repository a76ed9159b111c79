//! What counts, and how it is written.

use super::*;
use sandboxd_audit::record::{Actor, CallOf};
use serde_json::json;

const AUDITED: Audited = Audited {
    up: true,
    lag: Duration::ZERO,
    unsigned: Duration::ZERO,
    signed: Some(Stamp(1_764_000_000_123)),
};

fn record(kind: Kind, decision: &'static str, rule: Option<&str>) -> Record {
    let mut record = Record::of(kind);
    record.actor = Some(Actor { agent: String::from("agent"), ..Actor::default() });
    let callee = Some(String::from("tool"));
    record.call =
        Some(CallOf { callee, connection: 1, instance: 1, number: 1, ..CallOf::default() });
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
fn each_secret_is_counted_where_it_was_used_and_not_where_it_would_have_been() {
    let meter = Meter::default();
    let told = |kind, decision, result| {
        let mut record = record(kind, decision, None);
        record.result = result;
        meter.count(&record);
    };
    told(Kind::Call, "allowed", json!({ "secrets": ["db", "model"] }));
    told(Kind::Call, "refused", json!({ "secrets": ["db"] }));
    told(Kind::Egress, "allowed", json!({ "secrets": ["model"], "puts": 7 }));
    told(Kind::Egress, "refused", json!({ "secrets": ["model"], "puts": 1 }));
    told(Kind::Egress, "allowed", json!({ "verdict": "carried" }));
    told(Kind::Signature, "allowed", json!({ "key": "deploy" }));
    told(Kind::Signature, "refused", json!({ "key": null }));
    let text = meter.text(AUDITED);
    let uses = |secret: &str, times: u64| {
        format!("sandboxd_secrets_uses_total{{profile=\"agent\",secret=\"{secret}\"}} {times}")
    };
    for line in [
        &uses("db", 1),
        &uses("model", 3),
        &uses("deploy", 1),
        "sandboxd_audit_last_checkpoint_timestamp_seconds 1764000000.123",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert_eq!(text.matches("sandboxd_secrets_uses_total{").count(), 3);
}

#[test]
fn bytes_are_counted_by_the_entry_that_let_them_out_and_all_of_them() {
    let meter = Meter::default();
    let mut ended = record(Kind::Ended, "", None);
    ended.result = json!({ "exit": 0, "egress": {
        "connections": 3, "up_bytes": 100, "down_bytes": 7, "refused": [], "refused_others": 0,
        "entries": [
            { "entry": "a.example:443", "connections": 1, "up_bytes": 60, "down_bytes": 7 },
            { "entry": "b.example:443", "connections": 1, "up_bytes": 10, "down_bytes": 0 },
        ],
    } });
    meter.count(&ended);
    meter.count(&ended);
    let text = meter.text(AUDITED);
    for (entry, direction, bytes) in [
        ("a.example:443", "up", 120),
        ("a.example:443", "down", 14),
        ("b.example:443", "up", 20),
        (OTHERS, "up", 60),
    ] {
        let line = format!(
            "sandboxd_egress_bytes_total{{profile=\"agent\",entry=\"{entry}\",direction=\"{direction}\"}} {bytes}"
        );
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("entry=\"others\",direction=\"down\""), "{text}");
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
