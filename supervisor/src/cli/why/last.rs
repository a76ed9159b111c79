//! `sandboxd why --last`: what the caller's last run was refused that failed or was refused anything, and
//! what to write.

use super::advice::Advice;
use super::subject::{Question, Subject};
use super::words;
use crate::cli::NOT_SET_UP;
use crate::cli::denied;
use crate::cli::output::{say, say_json, warn};
use crate::cli::typed::Grants;
use crate::explain::{self, printable};
use crate::kept::{Kept, Options};
use crate::sandbox::DeniedCall;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;

/// What is known of files that were refused.
const FILES: &str = "files: the kernel tells nobody which were refused. Of one, sandboxd why --path FILE says \
     it; of all that a command needs, sandboxd learn";

/// After each refused call, the line that lets it be made, or that there is none.
pub(in crate::cli) fn advised(grants: &Grants, calls: &[DeniedCall], most: usize) -> Vec<String> {
    if calls.is_empty() {
        return Vec::new();
    }
    // What cannot be said any more, the profile having changed, is left out.
    let subject = Subject::load(grants).ok();
    let advice = |denied: &DeniedCall| {
        let advice = subject.as_ref().and_then(|subject| of_a_call(subject, &denied.call));
        match advice {
            Some(Advice::Add { toml, .. }) => format!("; {}", toml.replace('\n', " ")),
            Some(Advice::Remove(lines)) => {
                let keys: Vec<&str> = lines.iter().map(|line| line.key.as_str()).collect();
                format!("; remove {}", keys.join(", "))
            }
            Some(Advice::Nothing(_)) => String::from("; no profile allows it"),
            None => String::new(),
        }
    };
    calls.iter().take(most).map(advice).collect()
}

/// What to write where a call is refused whatever its arguments are.
fn of_a_call(subject: &Subject, call: &str) -> Option<Advice> {
    let question = Question::Syscall(call.to_owned());
    let answer = subject.ask(&question).ok().filter(|answer| !answer.allowed)?;
    Some(subject.advise(&question, &answer))
}

/// The reasons for which such a call is refused, where its arguments decide.
fn by_arguments(subject: Option<&Subject>, denied: &DeniedCall) -> String {
    if denied.call == "socket" && matches!(denied.argument, Some(AF_INET | AF_INET6)) {
        return String::from(
            "  add     [network] mode = \"egress\" and the hosts that it needs\n          or, for one run: --egress HOST:PORT\n",
        );
    }
    let question = Question::Syscall(denied.call.clone());
    let answer = subject.and_then(|subject| subject.ask(&question).ok());
    let errno = explain::errno(denied.errno);
    let name = errno.rsplit_once('(').map_or("", |(_, name)| name.trim_end_matches(')'));
    let notes = answer.iter().flat_map(|answer| &answer.notes);
    let refusing = notes.filter(|note| note.contains(&format!(": {name} if ")));
    refusing.map(|note| format!("  note    {}\n", printable(note))).collect()
}

pub(super) fn last(json: bool) -> u8 {
    let Some(kept) = Kept::read() else {
        let text = "sandboxd: no run of yours is known that failed or was refused anything\n  remedy  run it first: sandboxd run …\n";
        warn(text);
        return NOT_SET_UP;
    };
    let told = if json { say_json(&as_json(&kept)) } else { say(&in_words(&kept)) };
    if told { 0 } else { NOT_SET_UP }
}

fn as_json(kept: &Kept) -> serde_json::Value {
    let subject = subject(kept);
    let calls = kept.calls().iter().map(|denied| {
        let advice = subject.as_ref().and_then(|subject| of_a_call(subject, &denied.call));
        json!({ "refused": denied, "advice": advice })
    });
    let calls: Vec<_> = calls.collect();
    json!({
        "sandbox": kept.sandbox,
        "command": kept.command,
        "at": kept.at,
        "exit": kept.exit,
        "signal": kept.signal,
        "calls": calls,
        "others": kept.denials.others,
        "not_let_out": kept.not_let_out,
        "unseen": unseen(kept),
    })
}

/// The plan as it would be now, with the same options and in the same folder.
fn subject(kept: &Kept) -> Option<Subject> {
    if kept.calls().is_empty() {
        return None;
    }
    std::env::set_current_dir(&kept.cwd).ok()?;
    let Options { profile, under, read, write, execute, egress, bind, set } = kept.asked.clone();
    let grants =
        Grants { profile, under, read, write, execute, egress, bind, set, ..Grants::default() };
    Subject::load(&grants).ok()
}

/// What was not looked at, and how it is asked for.
fn unseen(kept: &Kept) -> Vec<String> {
    let calls =
        (!kept.denials.unseen.is_empty()).then(|| format!("system calls: {}", kept.denials.unseen));
    calls.into_iter().chain([String::from(FILES)]).collect()
}

fn in_words(kept: &Kept) -> String {
    let mut text = format!(
        "{} ({}), {}: {}\n",
        kept.sandbox,
        printable(&kept.command),
        ago(kept),
        ended(kept)
    );
    let subject = subject(kept);
    for denied in kept.calls() {
        text.push_str(&format!("refused: {}\n", denied::call(denied)));
        let advice = subject.as_ref().and_then(|subject| of_a_call(subject, &denied.call));
        if let Some(advice) = advice {
            text.push_str(&words::advised(&advice));
        } else {
            text.push_str(&by_arguments(subject.as_ref(), denied));
        }
    }
    if kept.denials.others > 0 {
        text.push_str(&format!("refused: {} calls more\n", kept.denials.others));
    }
    for one in &kept.not_let_out {
        let times = if one.times == 1 { String::new() } else { format!(", {} times", one.times) };
        text.push_str(&format!(
            "not let out: {}: {}{times}\n",
            printable(&one.to),
            printable(&one.why)
        ));
        if let Some(remedy) = &one.remedy {
            text.push_str(&format!("  remedy  {}\n", printable(remedy)));
        }
    }
    if kept.calls().is_empty() && kept.not_let_out.is_empty() {
        text.push_str("nothing is known of that it was refused\n");
    }
    for what in unseen(kept) {
        text.push_str(&format!("not known: {}\n", printable(&what)));
    }
    text
}

fn ago(kept: &Kept) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match now.saturating_sub(kept.at) {
        seconds @ 0..=119 => format!("{seconds} seconds ago"),
        seconds @ 120..=7199 => format!("{} minutes ago", seconds / 60),
        seconds => format!("{} hours ago", seconds / 3600),
    }
}

fn ended(kept: &Kept) -> String {
    match (kept.exit, kept.signal) {
        (Some(status), _) => format!("exit status {status}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => String::from("it did not end by itself"),
    }
}
