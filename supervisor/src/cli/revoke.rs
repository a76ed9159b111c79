//! `sandboxd revoke`.

use super::NOT_SET_UP;
use super::output::{say, say_json, warn};
use super::typed::Revoke;
use crate::control::revocation::refused;
use crate::control::{self, REVOCATIONS};
use crate::explain::printable;
use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The status that says that there is nothing that could be taken back.
const NO: u8 = 1;
/// How long a run may take to answer: longer than it lets its broker take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is taken.
const LONGEST: u64 = 1 << 20;

pub(super) fn revoke(typed: &Revoke) -> u8 {
    let (answer, status) = match one(control::runs(&REVOCATIONS), &typed.run) {
        Err(none) => (none, NO),
        Ok((run, stream)) => match ask(stream, &typed.edge) {
            Ok(answer) if answer.get("revoked") == Some(&Value::Bool(true)) => (answer, 0),
            Ok(answer) => (answer, NO),
            Err(error) => {
                let remedy = "see with sandboxd ps whether it is running; if so, try again, or stop it: sandboxd stop";
                (refused(&run, &error.to_string(), remedy), NOT_SET_UP)
            }
        },
    };
    let said = match (typed.json, status) {
        (true, _) => say_json(&answer),
        (false, 0) => say(&words(&answer)),
        (false, _) => {
            warn(&words(&answer));
            true
        }
    };
    if said { status } else { NOT_SET_UP }
}

/// The run of this id, else the one of the profile of this name.
fn one<T>(mut runs: Vec<(String, T)>, name: &str) -> Result<(String, T), Value> {
    let is_of = |id: &str| id.rsplit_once('-').is_some_and(|(profile, _)| profile == name);
    if let Some(place) = runs.iter().position(|(id, _)| id == name) {
        return Ok(runs.swap_remove(place));
    }
    runs.retain(|(id, _)| is_of(id));
    match runs.len() {
        1 => Ok(runs.swap_remove(0)),
        0 => Err(refused(
            name,
            "you have no running sandbox of this name that can call anything",
            "run sandboxd ps as the user who started it; revoke as that user, too",
        )),
        _ => {
            let ids: Vec<&str> = runs.iter().map(|(id, _)| id.as_str()).collect();
            let why = format!("several of your runs have this name: {}", ids.join(", "));
            Err(refused(name, &why, "use the id of the one you mean"))
        }
    }
}

/// Has it taken back, and waits until it is.
fn ask(mut stream: UnixStream, edge: &str) -> io::Result<Value> {
    if edge.contains('\n') {
        return Err(io::Error::other("the name of an edge must be on one line"));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{edge}\n").as_bytes())?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::other("it has just ended, or does not answer"));
    }
    Ok(serde_json::from_str(&text)?)
}

/// What came of it, for people.
fn words(answer: &Value) -> String {
    let told = |key| printable(answer.get(key).and_then(Value::as_str).unwrap_or_default());
    let run = told("run");
    if answer.get("revoked") == Some(&Value::Bool(true)) {
        return format!("{run}: revoked {}\n", told("edge"));
    }
    format!("sandboxd: {run}: not revoked: {}\n  remedy  {}\n", told("why"), told("remedy"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_meant_by_its_id_or_where_it_is_the_only_one_by_its_profile() {
        let runs = || ["a-1", "b-2", "b-3", "b-3-4"].map(|id| (id.to_owned(), ())).into();
        let meant = |name| one(runs(), name).map(|(id, ())| id);
        assert_eq!(meant("a"), Ok("a-1".into()));
        assert_eq!(meant("b-2"), Ok("b-2".into()));
        assert_eq!(meant("b-3"), Ok("b-3".into()));
        let several = meant("b").unwrap_err();
        assert!(words(&several).contains("b-2, b-3\n  remedy"), "{several}");
        assert!(words(&meant("c").unwrap_err()).contains("you have no running sandbox"));
    }

    #[test]
    fn what_a_run_answers_acts_on_no_terminal() {
        let told = words(&json!({ "run": "a-1", "revoked": true, "edge": "a/f\u{1b}s" }));
        assert_eq!(told, "a-1: revoked a/f\\u{1b}s\n");
    }
}
