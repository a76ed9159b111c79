//! `sandboxd secret uses`: who may use a secret and how, and who did.

use super::{from, told, uses};
use crate::cli::NOT_SET_UP;
use crate::cli::audit::{Reader, Source, unread};
use crate::cli::output::{say, say_json, warn};
use crate::cli::typed::SecretUses;
use crate::explain::printable;
use sandboxd_audit::AuditError;
use sandboxd_audit::line::Line;
use sandboxd_profiles::Outside;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whose use of what: the profile's name, the secret, how it was used, and by which entry or edge and where.
type By = (String, String, How, String, String);

/// How a secret was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// Put into requests to a host.
    Put,
    /// It signed.
    Signed,
    /// It stood in the arguments of a tool.
    Stood,
}

/// What the log says of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Connections with such requests; signatures, and calls.
    connections: u64,
    /// Requests that a secret was put into.
    requests: u64,
    /// When the last connection of them ended.
    last: String,
}

pub(super) fn show(typed: &SecretUses) -> u8 {
    told(&typed.of, |outside| {
        // Without a secret the log has no answer, and need not be read.
        let seen = if outside.secrets.is_empty() { Ok(BTreeMap::new()) } else { seen(typed) };
        match seen {
            Ok(seen) => all(outside, typed, &seen),
            Err(error) => {
                unread(&error, typed.of.json);
                NOT_SET_UP
            }
        }
    })
}

fn all(outside: &Outside, typed: &SecretUses, seen: &BTreeMap<By, Seen>) -> u8 {
    let wanted = |name: &String| typed.secret.as_ref().is_none_or(|wanted| wanted == name);
    let held = outside.secrets.iter().enumerate().filter(|(_, held)| wanted(&held.name));
    let mut objects = Vec::new();
    let mut text = String::new();
    for (place, held) in held {
        let may = uses(outside, place);
        text.push_str(&format!("{}\n  from  {}\n", held.name, printable(&from(held))));
        may.iter().for_each(|may| text.push_str(&format!("  may   {}\n", printable(may))));
        let did: Vec<_> = seen.iter().filter(|((_, name, ..), _)| *name == held.name).collect();
        did.iter().for_each(|(by, seen)| text.push_str(&words(by, seen)));
        if did.is_empty() {
            text.push_str("  used  not as far as the audit log goes back\n");
        }
        let used: Vec<Value> = did.into_iter().map(object).collect();
        objects.push(json!({ "name": held.name, "from": from(held), "may": may, "used": used }));
    }
    if let (true, Some(name)) = (objects.is_empty(), &typed.secret) {
        let name = printable(name);
        warn(&format!(
            "sandboxd: the profile has no [secrets.{name}]\n  remedy  see sandboxd secret list\n"
        ));
        return NOT_SET_UP;
    }
    if text.is_empty() {
        text.push_str("no secrets: the profile has no [secrets.NAME]\n");
    }
    let said = if typed.of.json { say_json(&Value::Array(objects)) } else { say(&text) };
    super::status(said, 0)
}

/// What the records say: those of connections, of which each names the secrets that were put into its requests.
fn seen(typed: &SecretUses) -> Result<BTreeMap<By, Seen>, AuditError> {
    let mut all: BTreeMap<By, Seen> = BTreeMap::new();
    let mut reader = Reader::new(Source::find(None)?, typed.since);
    reader.each(|line| {
        for by in used(line) {
            let seen = all.entry(by).or_default();
            seen.connections += 1;
            seen.requests += line.at("/result/puts").and_then(Value::as_u64).unwrap_or(0);
            seen.last.clone_from(&line.ts);
        }
        true
    })?;
    Ok(all)
}

fn used(line: &Line) -> Vec<By> {
    let told = |path| line.text_at(path).unwrap_or_default().to_owned();
    if line.kind == "signature" && line.text_at("/decision") == Some("allowed") {
        // A key that logs in, or signs a text: the rule says as whom and where.
        let (agent, key, rule) = (told("/actor/agent"), told("/result/key"), told("/rule"));
        return vec![(agent, key, How::Signed, rule, String::new())];
    }
    let allowed = line.kind == "call" && line.text_at("/decision") == Some("allowed");
    let names = line.at("/result/secrets").and_then(Value::as_array);
    let names = names.filter(|_| allowed || line.kind == "egress");
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    if allowed {
        let by = |name: &str| {
            let (agent, edge) = (told("/actor/agent"), told("/edge"));
            (agent, name.to_owned(), How::Stood, edge, told("/tool"))
        };
        return names.map(by).collect();
    }
    let port = line.at("/result/port").map_or_else(String::new, |port| format!(":{port}"));
    let host = format!("{}{port}", told("/result/name"));
    let by =
        |name: &str| (told("/actor/agent"), name.to_owned(), How::Put, told("/rule"), host.clone());
    names.map(by).collect()
}

fn words((agent, _, how, rule, place): &By, seen: &Seen) -> String {
    let Seen { connections, requests, last } = seen;
    let text = match how {
        How::Signed => {
            format!("by {agent}: signed {connections} times for {rule}, the last {last}")
        }
        How::Put => format!(
            "by {agent} to {place} [{rule}]: {requests} requests on {connections} connections, the last {last}"
        ),
        How::Stood => format!(
            "by {agent} in {place} over [call.{rule}]: {connections} calls, the last {last}"
        ),
    };
    format!("  used  {}\n", printable(&text))
}

fn object(((agent, _, how, rule, place), seen): (&By, &Seen)) -> Value {
    let Seen { connections, requests, last } = seen;
    match how {
        How::Put | How::Signed => json!({
            "profile": agent, "rule": rule, "host": place,
            "connections": connections, "requests": requests, "last": last,
        }),
        How::Stood => json!({
            "profile": agent, "call": rule, "tool": place, "calls": connections, "last": last,
        }),
    }
}
