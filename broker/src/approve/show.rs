//! A call as it is shown to whoever approves it: whole, and nothing in it acts on a terminal.
//!
//! What the caller wrote stands in quotes, as JSON, and every letter but those of ASCII by its number, so
//! that what looks alike is not taken for the same and nothing is there unseen. Where that hides words,
//! they follow in letters.

use super::Waiting;
use crate::{
    json::{self, Object, Value},
    limit::{Moment, Wait},
};
use sandboxd_audit::encode::hex;
use sandboxd_broker_plan::letters::is_ignorable;

/// In words: a line that begins with the ID, then lines that do not begin a line.
pub(super) fn words(id: &str, Waiting { ask, since }: &Waiting, now: Moment) -> String {
    let seconds = |from: Moment, to: Moment| match from.until(to) {
        Wait::Seconds(seconds) if seconds >= 120 => format!("{} min", seconds / 60),
        Wait::Seconds(seconds) => format!("{seconds} s"),
        Wait::Never => String::from("for ever"),
    };
    let mut text = format!("{id}\n");
    let mut line = |what: &str, said: &str| text.push_str(&format!("  {what:<9} {said}\n"));
    line("caller", &named(&ask.caller));
    for chain in ask.chains.iter().filter(|chain| chain.len() > 1) {
        let chain: Vec<String> = chain.iter().map(|name| named(name)).collect();
        line("for", &chain.join(" > "));
    }
    line(
        "calls",
        &format!("{} {} of {}", named(&ask.method), named(&ask.name), named(&ask.callee)),
    );
    line("over", &format!("[call.{}]", named(&ask.edge)));
    text.push_str(&parameters(&ask.parameters, &ask.name));
    let mut line = |what: &str, said: &str| text.push_str(&format!("  {what:<9} {said}\n"));
    line("digest", &format!("sha256:{}", hex(&ask.digest)));
    line("waits", &format!("{}; denied in {}", seconds(*since, now), seconds(now, ask.expires)));
    text
}

/// The same for programs: an object on a line, its ID first.
pub(super) fn json(id: &str, Waiting { ask, since }: &Waiting, now: Moment) -> String {
    let chains = ask
        .chains
        .iter()
        .map(|chain| Value::Array(chain.iter().map(|name| Value::from(name.as_str())).collect()));
    let rest: Object = [
        ("caller", ask.caller.as_str().into()),
        ("chains", Value::Array(chains.collect())),
        ("edge", ask.edge.as_str().into()),
        ("callee", ask.callee.as_str().into()),
        ("method", ask.method.as_str().into()),
        ("name", ask.name.as_str().into()),
        ("parameters", parsed(&ask.parameters)),
        ("sha256", hex(&ask.digest).into()),
        ("waited_ms", now.since(*since).0.into()),
        ("denied_in_ms", ask.expires.since(now).0.into()),
    ]
    .into();
    let rest = json::shown(&rest.into(), plain);
    format!("{{\"id\":\"{id}\",{}\n", rest.get(1..).unwrap_or_default())
}

/// The broker wrote it itself; what could not be read again would be shown as the text that it is.
fn parsed(parameters: &str) -> Value {
    json::parse(parameters.as_bytes()).unwrap_or_else(|_| parameters.into())
}

/// Each parameter on a line, and each argument of a tool.
fn parameters(parameters: &str, name: &str) -> String {
    let all = match parsed(parameters) {
        Value::Object(all) => all,
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)) => return format!("  parameters {}\n", json::shown(&other, plain)),
    };
    let line = |key: &str, value: &Value, deep: &str| {
        let entry = |shows: fn(char) -> bool| {
            format!("{}: {}", json::shown(&key.into(), shows), json::shown(value, shows))
        };
        let (ascii, letters) = (entry(plain), entry(lettered));
        let reads = (letters != ascii).then(|| format!("{deep}  reads {letters}\n"));
        format!("{deep}{ascii}\n{}", reads.unwrap_or_default())
    };
    let mut text = String::from("  parameters\n");
    // The name was shown.
    for (key, value) in
        all.iter().filter(|(key, value)| (*key, value.as_str()) != ("name", Some(name)))
    {
        let arguments = value.as_object().filter(|it| key == "arguments" && !it.is_empty());
        let Some(arguments) = arguments else {
            text.push_str(&line(key, value, "    "));
            continue;
        };
        text.push_str("    \"arguments\":\n");
        for (key, value) in arguments.iter() {
            text.push_str(&line(key, value, "      "));
        }
    }
    text
}

/// A name: as it is where it is one, else in quotes.
fn named(name: &str) -> String {
    let simple = |letter: char| letter.is_ascii_alphanumeric() || "_-./:".contains(letter);
    if !name.is_empty() && name.chars().all(simple) {
        return name.to_owned();
    }
    json::shown(&name.into(), plain)
}

/// What everybody reads alike.
const fn plain(letter: char) -> bool {
    matches!(letter, ' '..='~')
}

/// Letters and digits of every script, but for those that are there and not seen.
fn lettered(letter: char) -> bool {
    plain(letter) || (letter.is_alphanumeric() && !is_ignorable(letter))
}
