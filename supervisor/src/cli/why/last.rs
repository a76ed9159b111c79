//! `sandboxd why --last`: what the caller's last run was refused that failed or was refused anything, and
//! what to write.

use super::advice::Advice;
use super::subject::{Question, Subject};
use super::words;
use crate::calls::{Called, RefusedCall};
use crate::cli::NOT_SET_UP;
use crate::cli::denied;
use crate::cli::not_called;
use crate::cli::output::{say, say_json, warn};
use crate::cli::typed::Grants;
use crate::cli::went_out;
use crate::explain::{self, printable};
use crate::kept::{Kept, Options};
use crate::sandbox::DeniedCall;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;

/// The rule that a name is not named, as it stands in the audit log.
const REACH: &str = "reach";

/// What is known of files that were refused.
const FILES: &str = "files: the kernel does not report which were denied";

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
            Some(Advice::AddEach(_)) | None => String::new(),
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

/// The entry that lets it be reached, where none names it.
fn of_a_host(subject: &Subject, to: &str) -> Option<Advice> {
    let (host, port) = to.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let question = Question::Host(host.to_owned(), port.parse().ok()?);
    let answer = subject.ask(&question).ok().filter(|answer| !answer.allowed)?;
    match subject.advise(&question, &answer) {
        advice @ (Advice::Add { .. } | Advice::AddEach(_) | Advice::Remove(_)) => Some(advice),
        Advice::Nothing(_) => None,
    }
}

/// What lets tools be called that were refused because they are not named.
fn of_tools(subject: &Subject, edge: &Called, one: &RefusedCall) -> Vec<Advice> {
    let tools = one.tools.iter().filter(|_| one.rule == REACH);
    let advice = tools.filter_map(|tool| subject.of_a_tool((&edge.caller, &edge.edge), tool));
    advice.collect()
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
        let text = "sandboxd: none of your known runs failed or was denied anything\n  remedy  run the command first: sandboxd run …\n";
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
        "limits": kept.limits,
        "calls": calls,
        "others": kept.denials.others,
        "not_let_out": kept.not_let_out,
        "not_called": kept.called,
        "unseen": unseen(kept),
    })
}

/// The plan as it would be now, with the same options and in the same folder.
fn subject(kept: &Kept) -> Option<Subject> {
    if kept.calls().is_empty() && kept.not_let_out.is_empty() && kept.called.is_empty() {
        return None;
    }
    std::env::set_current_dir(&kept.cwd).ok()?;
    let Options { profile, under, read, write, execute, egress, bind, set } = kept.asked.clone();
    let grants =
        Grants { profile, under, read, write, execute, egress, bind, set, ..Grants::default() };
    Subject::load(&grants).ok()
}

/// How it is asked which files were refused: the very commands, for the folder in which it was run.
fn ask(kept: &Kept) -> String {
    let Options { profile, under, read, write, execute, egress, bind, set } = &kept.asked;
    let profile = profile.iter().cloned().collect::<Vec<String>>();
    let lists = [("-p", &profile), ("-r", read), ("-w", write), ("-x", execute)];
    let more = [("--egress", egress), ("--set", set), ("--bind", bind), ("--under", under)];
    let all = lists.into_iter().chain(more);
    let words = all.flat_map(|(option, list)| list.iter().map(move |one| (option, one)));
    let options: String =
        words.map(|(option, one)| format!(" {option} {}", for_a_shell(one))).collect();
    let mut text = format!("  ask of one   sandboxd why{options} --path FILE\n");
    if under.is_empty() && bind.is_empty() {
        let command = if kept.typed {
            format!(" -- {} …", for_a_shell(&kept.command))
        } else {
            String::new()
        };
        text.push_str(&format!(
            "  or of all    sandboxd learn{options} -o ../learnt.toml{command}\n"
        ));
    }
    let here = std::env::current_dir().is_ok_and(|here| here.as_os_str() == kept.cwd.as_str());
    if !here {
        text.push_str(&format!("  in           {}\n", printable(&kept.cwd)));
    }
    text
}

/// A word as a shell takes it, with nothing in it that a terminal would act on.
fn for_a_shell(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', "'\\''"))
}

/// What was not looked at.
fn unseen(kept: &Kept) -> Vec<String> {
    let calls = kept.denials.unseen.iter().map(|why| format!("system calls: {why}"));
    calls.chain([String::from(FILES)]).collect()
}

fn in_words(kept: &Kept) -> String {
    // Before the folder is that of the run.
    let ask = ask(kept);
    let mut text = format!(
        "{} ({}), {}: {}\n",
        kept.sandbox,
        printable(&kept.command),
        ago(kept),
        ended(kept)
    );
    for reached in &kept.limits {
        text.push_str(&format!("limit: {}\n", printable(reached)));
    }
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
    text.push_str(&not_let_out(kept, subject.as_ref()));
    text.push_str(&not_called(kept, subject.as_ref()));
    let refused =
        !(kept.calls().is_empty() && kept.not_let_out.is_empty() && kept.called.is_empty());
    if !refused && kept.limits.is_empty() {
        text.push_str("no denials are known\n");
    }
    for what in unseen(kept) {
        text.push_str(&format!("not known: {}\n", printable(&what)));
    }
    text.push_str(&ask);
    text
}

/// What the way out refused.
fn not_let_out(kept: &Kept, subject: Option<&Subject>) -> String {
    let mut text = String::new();
    for one in &kept.not_let_out {
        let times = if one.times == 1 { String::new() } else { format!(", {} times", one.times) };
        text.push_str(&format!(
            "egress denied: {}: {}{times}\n",
            printable(&one.to),
            printable(&one.why)
        ));
        let advice = subject.and_then(|subject| of_a_host(subject, &one.to));
        if let Some(advice) = advice {
            text.push_str(&words::advised(&advice));
        } else if let Some(remedy) = &one.remedy {
            let remedy = went_out::filled(remedy, &[&one.to]);
            text.push_str(&format!("  remedy  {}\n", printable(&remedy)));
        }
    }
    text
}

/// What a broker refused.
fn not_called(kept: &Kept, subject: Option<&Subject>) -> String {
    let mut text = String::new();
    for (edge, one) in not_called::all(&kept.called) {
        text.push_str(&format!("not called: {}\n", printable(&not_called::line(edge, one))));
        let advice = subject.map(|subject| of_tools(subject, edge, one));
        match advice.filter(|advice| !advice.is_empty()) {
            Some(advice) => text.extend(advice.iter().map(words::advised)),
            None => {
                let remedy = printable(&not_called::remedy(edge, one));
                text.push_str(&format!("  remedy  {remedy}\n"));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::for_a_shell;

    #[test]
    fn a_word_is_one_word_to_a_shell_and_nothing_to_a_terminal() {
        assert_eq!(for_a_shell("/srv/a.toml"), "/srv/a.toml");
        assert_eq!(for_a_shell("a b"), "'a b'");
        assert_eq!(for_a_shell("a'; rm -r b"), "'a'\\''; rm -r b'");
        assert_eq!(for_a_shell(""), "''");
        // A shell makes two words of this.
        assert_eq!(for_a_shell("-x{/etc/shadow,/srv}"), "'-x{/etc/shadow,/srv}'");
        assert_eq!(for_a_shell("a,b"), "'a,b'");
        assert!(!for_a_shell("a\u{1b}]0;b\u{7}").contains('\u{1b}'));
    }
}
