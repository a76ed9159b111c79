//! `sandboxd secret rotate`.

use crate::cli::NOT_SET_UP;
use crate::cli::output::{say, say_json, warn};
use crate::cli::typed::SecretRotate;
use crate::control::rotation::WORD;
use crate::control::{self, ROTATIONS};
use crate::explain::printable;
use serde_json::{Value, json};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The status that says that some were not renewed, or that there is nobody to ask.
const NO: u8 = 1;
/// How long all sources of a run may take, of which a program alone has 20 seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest answer that is taken.
const LONGEST: u64 = 1 << 20;

pub(super) fn rotate(typed: &SecretRotate) -> u8 {
    let runs: Vec<_> = control::runs(&ROTATIONS)
        .into_iter()
        .filter(|(run, _)| typed.run.as_ref().is_none_or(|wanted| wanted == run))
        .collect();
    if runs.is_empty() {
        let which =
            typed.run.as_ref().map_or_else(String::new, |run| format!(" {}", printable(run)));
        warn(&format!(
            "sandboxd: no running sandbox{which} injects secrets into requests or arguments, or logs in with them\n  remedy  do this as the user who started the run\n"
        ));
        return NO;
    }
    // All are asked before the first is heard: whoever was let in waits no longer than seconds for the word.
    let asked: Vec<_> = runs.into_iter().map(|(run, stream)| (run, ask(stream))).collect();
    let answers: Vec<Value> = asked
        .into_iter()
        .map(|(run, stream)| {
            stream.and_then(hear).unwrap_or_else(|error| {
                let remedy = "check that the run has not ended, and try again";
                json!({
                    "sandbox": run, "ok": false, "secrets": [], "why": error.to_string(), "remedy": remedy,
                })
            })
        })
        .collect();
    let all = answers.iter().all(|answer| answer.get("ok") == Some(&Value::Bool(true)));
    let said = if typed.json {
        say_json(&Value::Array(answers))
    } else {
        say(&answers.iter().map(words).collect::<String>())
    };
    match (said, all) {
        (false, _) => NOT_SET_UP,
        (true, true) => 0,
        (true, false) => NO,
    }
}

fn ask(mut stream: UnixStream) -> io::Result<UnixStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(WORD)?;
    Ok(stream)
}

fn hear(stream: UnixStream) -> io::Result<Value> {
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::other("it has just ended"));
    }
    Ok(serde_json::from_str(&text)?)
}

/// What a run answered, for people.
fn words(answer: &Value) -> String {
    let told =
        |of: &Value, key: &str| printable(of.get(key).and_then(Value::as_str).unwrap_or_default());
    let run = told(answer, "sandbox");
    if answer.get("ok") != Some(&Value::Bool(true)) {
        let text = format!("{run}: not rotated: {}\n", told(answer, "why"));
        let remedy = told(answer, "remedy");
        return if remedy.is_empty() { text } else { format!("{text}  remedy  {remedy}\n") };
    }
    let all = answer.get("secrets").and_then(Value::as_array).into_iter().flatten();
    all.map(|secret| {
        let what = match told(secret, "renewed").as_str() {
            "changed" => "changed: the next request or call uses it",
            "cannot" => "not changed: an environment variable keeps its value from the start",
            _ => "unchanged: its source has the same value",
        };
        format!("{run}: {}: {what}\n", told(secret, "name"))
    })
    .collect()
}
