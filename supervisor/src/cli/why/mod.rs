//! `sandboxd why`: [`subject`] is what is asked about, [`advice`] what to write where the answer is no.

mod advice;
pub(super) mod last;
pub(super) mod subject;
mod words;

use super::output::{refuse, say, say_json};
use super::typed::Why;
use super::{NOT_SET_UP, load};
use crate::explain;
use crate::sandbox::StartError;
use advice::Advice;
use sandboxd_broker_plan::Name;
use sandboxd_profiles::why::{Access, Answer};
use sandboxd_profiles::{Problem, graph};
use serde_json::json;
use subject::{Question, Subject};

/// The status that says "it may not".
const NO: u8 = 1;

pub(crate) fn why(arguments: &Why) -> u8 {
    if arguments.last {
        return last::last(arguments.json);
    }
    let answered = match answer(arguments) {
        Ok(answered) => answered,
        Err(error) => {
            refuse(&error, &load::name(&arguments.grants), arguments.json);
            return NOT_SET_UP;
        }
    };
    let (answer, advice) = &answered;
    let told = if arguments.json {
        say_json(&json!({
            "question": answer.question,
            "allowed": answer.allowed,
            "errno": answer.errno,
            "error": answer.errno.map(explain::errno),
            "layers": answer.layers,
            "notes": answer.notes,
            "advice": advice,
        }))
    } else {
        say(&words::words(answer, advice.as_ref()))
    };
    match (told, answer.allowed) {
        (false, _) => NOT_SET_UP,
        (true, true) => 0,
        (true, false) => NO,
    }
}

fn answer(arguments: &Why) -> Result<(Answer, Option<Advice>), StartError> {
    if let Some(call) = &arguments.call {
        return called(arguments, call);
    }
    let question = question(arguments)?;
    let subject = Subject::load(&arguments.grants)?;
    let mut answer = subject.ask(&question)?;
    if matches!(&question, Question::Path(path, _) if !path.starts_with('/')) {
        let starts = subject.starts()?;
        answer.notes.extend(starts.map(|starts| format!("the command {starts}")));
    }
    let advice = (!answer.allowed).then(|| subject.advise(&question, &answer));
    Ok((answer, advice))
}

fn called(arguments: &Why, call: &[String]) -> Result<(Answer, Option<Advice>), StartError> {
    let profile = load::load(&arguments.grants)?.profile;
    let (name, tool) = match call {
        [name, tool, ..] => (name.as_str(), Some(tool.as_str())),
        [name] => (name.as_str(), None),
        [] => ("", None),
    };
    if let Err(error) = Name::try_from(name) {
        let what = format!("{name:?} is not the name of an edge: {error}");
        return Err(wrong("--call", what, "write the NAME of a [call.NAME] of the profile"));
    }
    let answer = if profile.calls.is_empty() {
        graph::nobody(profile.name(), name, tool)
    } else {
        graph::around(&profile, &mut load::document)?.why(profile.name(), name, tool)
    };
    let file = load::profile_name(&arguments.grants);
    let advice =
        (!answer.allowed).then(|| advice::of_a_call(&profile, &answer, (&file, name), tool));
    Ok((answer, advice))
}

fn wrong(key: &str, what: String, remedy: &str) -> StartError {
    StartError::Problems(vec![Problem {
        file: String::from("command line"),
        at: None,
        key: key.to_owned(),
        what,
        remedy: remedy.to_owned(),
    }])
}

fn question(arguments: &Why) -> Result<Question, StartError> {
    if let Some(path) = &arguments.path {
        let access = Access::named(&arguments.access).unwrap_or(Access::Read);
        if path.is_empty() {
            let remedy = "write it as the command would";
            return Err(wrong("--path", String::from("an empty path names nothing"), remedy));
        }
        return Ok(Question::Path(path.clone(), access));
    }
    if let Some(name) = &arguments.syscall {
        if sandboxd_profiles::syscalls::number(name).is_none() {
            let what = format!("{name} is not a system call of x86_64");
            return Err(wrong("--syscall", what, "write a name of syscalls(2)"));
        }
        return Ok(Question::Syscall(name.clone()));
    }
    let host = arguments.host.as_deref().unwrap_or_default();
    let parts = host.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() => Ok(Question::Host(host.to_owned(), port)),
        _ => {
            let what = format!("{host} is not a host and port");
            Err(wrong("--host", what, "write it as example.com:443"))
        }
    }
}
