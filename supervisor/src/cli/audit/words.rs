//! A record on one line, for people.

use crate::explain::printable;
use sandboxd_audit::line::Line;
use serde_json::Value;

/// `2026-11-25 15:01:02.123Z  ended    build-70001  exit 0 after 2.9 s`
pub(super) fn words(line: &Line) -> String {
    let when = line.ts.replace('T', " ");
    let who = line.text_at("/actor/instance").or_else(|| line.text_at("/actor/agent"));
    let what = match line.kind.as_str() {
        "started" => started(line),
        "refused" => refused(line),
        "ended" => ended(line),
        "connected" => connected(line),
        "call" => called(line),
        "approval" => approval(line),
        "revoked" => revoked(line),
        "pins" => pins(line),
        "answered" => answered(line),
        "noticed" => noticed(line),
        "secret_rotated" => rotated(line),
        "egress" => egress(line),
        "signature" => signature(line),
        "left_out" => number(line, "/result/records").map_or_else(String::new, |records| {
            let of = line.text_at("/result/of").map_or_else(String::new, |of| format!(" of {of}"));
            let rule = line.text_at("/rule").map_or_else(String::new, |rule| format!(" ({rule})"));
            format!("{records} more records{of}{rule}, which came too often")
        }),
        _ => line.at("/detail").map_or_else(String::new, Value::to_string),
    };
    let kind = &line.kind;
    let text = format!("{when}  {kind:<9} {:<24} {what}", who.unwrap_or("-"));
    printable(text.trim_end())
}

fn started(line: &Line) -> String {
    let method = line.text_at("/method").unwrap_or_default();
    let uid = line.at("/actor/uid").map_or_else(String::new, |uid| format!(" as uid {uid}"));
    let waived = line.at("/receipt/waived").and_then(Value::as_array).map_or(0, Vec::len);
    match waived {
        0 => format!("{method}{uid}"),
        waived => format!("{method}{uid}, {waived} waived"),
    }
}

fn refused(line: &Line) -> String {
    if let Some(problems) = line.at("/result/problems").and_then(Value::as_array) {
        let first = problems.first();
        let told = |key: &str| {
            first.and_then(|one| one.get(key)).and_then(Value::as_str).unwrap_or_default()
        };
        let more = problems.len().saturating_sub(1);
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        let at = if told("key").is_empty() { told("file") } else { told("key") };
        return format!("{at}: {}{more}", told("what"));
    }
    let told = |path| line.text_at(path).unwrap_or_default();
    format!("{}: {}: {}", told("/rule"), told("/result/call"), told("/result/error"))
}

fn number(line: &Line, path: &str) -> Option<u64> {
    line.at(path).and_then(Value::as_u64)
}

/// Over which edge, to whom, and what.
fn call(line: &Line) -> String {
    let told = |path| line.text_at(path).unwrap_or_default();
    let number = number(line, "/call/number").filter(|number| *number > 0);
    let number = number.map_or_else(String::new, |number| format!("{number}: "));
    let what = [told("/method"), told("/tool")].join(" ");
    let what = what.trim();
    let to = if what.is_empty() { "" } else { " to " };
    format!("{number}{what}{to}[call.{}]", told("/edge"))
}

fn connected(line: &Line) -> String {
    let peer: Vec<String> = [("uid", "/actor/uid"), ("pid", "/actor/pid")]
        .iter()
        .filter_map(|(name, path)| Some(format!("{name} {}", number(line, path)?)))
        .collect();
    let peer = peer.join(", ");
    match line.text_at("/rule") {
        Some(rule) => format!("not let in ({rule}): {peer}"),
        None => format!("as connection {}: {peer}", number(line, "/call/connection").unwrap_or(0)),
    }
}

/// Where it went, or did not, and why.
fn egress(line: &Line) -> String {
    let told = |path| line.text_at(path).unwrap_or_default();
    let whom = line.text_at("/result/name").unwrap_or_else(|| told("/result/address"));
    let whom = if whom.is_empty() { "an unnamed destination" } else { whom };
    let port = number(line, "/result/port").map_or_else(String::new, |port| format!(":{port}"));
    let by = line.text_at("/rule").map_or_else(String::new, |rule| format!(" [{rule}]"));
    let bytes = number(line, "/result/up_bytes").zip(number(line, "/result/down_bytes"));
    let bytes = bytes.filter(|both| *both != (0, 0));
    let bytes = bytes.map_or_else(String::new, |(up, down)| format!(", {up} bytes out, {down} in"));
    // Where a name led that was not let out: whoever has the name says that.
    let led = line.text_at("/result/address").filter(|address| *address != whom);
    let led = led.filter(|_| told("/decision") == "refused");
    let led = led.map_or_else(String::new, |address| format!(" ({address})"));
    format!("{} {whom}{port}{led}{by}: {}{bytes}", told("/decision"), told("/result/verdict"))
}

fn signature(line: &Line) -> String {
    let told = |path| line.text_at(path).unwrap_or_default();
    let key = line.text_at("/result/key").unwrap_or("no key");
    let by = line.text_at("/rule").map_or_else(String::new, |rule| format!(" [{rule}]"));
    format!("{} {key}{by}: {}", told("/decision"), told("/result/verdict"))
}

fn called(line: &Line) -> String {
    match line.text_at("/rule") {
        Some(rule) => format!("refused ({rule}) {}", call(line)),
        None => format!("allowed {}", call(line)),
    }
}

fn approval(line: &Line) -> String {
    let did = if line.text_at("/decision") == Some("allowed") { "approved" } else { "denied" };
    match (number(line, "/result/by/uid"), number(line, "/result/by/pid")) {
        (Some(uid), Some(pid)) => format!("{did} by uid {uid}, pid {pid}: {}", call(line)),
        (_, _) => format!("{did} by an approver who is no longer known: {}", call(line)),
    }
}

/// Which edge was taken back, and by whom.
fn revoked(line: &Line) -> String {
    let edge = line.text_at("/edge").unwrap_or_default();
    match (number(line, "/result/by/uid"), number(line, "/result/by/pid")) {
        (Some(uid), Some(pid)) => format!("by uid {uid}, pid {pid}: [call.{edge}]"),
        (_, _) => format!("expired: [call.{edge}]"),
    }
}

fn pins(line: &Line) -> String {
    let told = |path| line.text_at(path).unwrap_or_default();
    let by =
        number(line, "/result/by/uid").map_or_else(String::new, |uid| format!(" by uid {uid}"));
    match line.text_at("/tool") {
        Some(tool) => format!(
            "{}{by}: {tool}, {} before, {} now",
            told("/rule"),
            told("/result/before"),
            told("/result/now")
        ),
        None => format!("{}{by}: all tools", told("/rule")),
    }
}

/// Which secrets changed, and by whose word.
fn rotated(line: &Line) -> String {
    let by =
        number(line, "/result/by/uid").map_or_else(String::new, |uid| format!(" by uid {uid}"));
    if let Some(why) = line.text_at("/result/why") {
        return format!("not renewed{by}: {why}");
    }
    let all = line.at("/result/secrets").and_then(Value::as_array);
    let words = all.into_iter().flatten().map(|one| {
        let word = |key| one.get(key).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", word("name"), word("renewed"))
    });
    format!("read again{by}: {}", words.collect::<Vec<_>>().join(", "))
}

fn answered(line: &Line) -> String {
    let status = line.text_at("/rule").or_else(|| line.text_at("/result/status"));
    let (bytes, millis) = (number(line, "/result/bytes"), number(line, "/result/ms"));
    format!(
        "{}{}, {} bytes after {} ms",
        call(line),
        status.map_or_else(String::new, |status| format!(" {status}")),
        bytes.unwrap_or(0),
        millis.unwrap_or(0)
    )
}

fn noticed(line: &Line) -> String {
    let told = |path| line.text_at(path).unwrap_or_default();
    let of = [told("/tool"), told("/call/callee")].join(" of ");
    format!("{} {}", told("/rule"), of.trim_start_matches(" of ").trim_end_matches(" of "))
}

fn ended(line: &Line) -> String {
    let number = |path| number(line, path);
    let flag = |path| line.at(path).and_then(Value::as_bool).unwrap_or_default();
    let mut text = match (number("/result/exit"), number("/result/signal")) {
        (Some(exit), _) => format!("exit {exit}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) if flag("/result/not_started") => String::from("before it began"),
        (None, None) => String::from("ended"),
    };
    if let Some(millis) = number("/result/wall_time_ms") {
        text.push_str(&format!(" after {}.{:03} s", millis / 1000, millis % 1000));
    }
    let ends = [
        ("/result/timeout", "wall time used up"),
        ("/result/cpu_limit", "CPU time used up"),
        ("/result/output_limit", "output limit reached"),
        ("/result/oom", "out of memory"),
    ];
    for (_, what) in ends.iter().filter(|(path, _)| flag(path)) {
        text.push_str(&format!(", {what}"));
    }
    text
}
