//! `sandboxd approvals`, `approve` and `deny`. What a broker says is printed and not read: where a call
//! begins is all that is looked for.

use super::NOT_SET_UP;
use super::output::{say, warn};
use super::typed::{Approvals, Approve, Deny};
use crate::control;
use crate::explain::{self, printable, printable_lines};
use rustix::termios::{QueueSelector, isatty, tcflush};
use std::collections::BTreeSet;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The status that says that there is no such call.
const NO: u8 = 1;
/// How often runs are asked anew.
const PACE: Duration = Duration::from_millis(500);
/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is taken.
const LONGEST: u64 = 256 << 20;

/// A call that waits, as it is printed.
struct Call {
    /// Of the run that shows it, and alone is answered: a broker that was taken over shows what another one asks.
    socket: String,
    id: String,
    text: String,
}

impl Call {
    /// Two runs may show the same ID.
    fn key(&self) -> (String, String) {
        (self.socket.clone(), self.id.clone())
    }
}

/// What is decided of a call.
struct Verdict<'a> {
    verb: &'static str,
    /// That it was done.
    did: &'static str,
    reason: &'a str,
}

const APPROVE: Verdict<'_> = Verdict { verb: "approve", did: "approved", reason: "" };
const DENY: Verdict<'_> = Verdict { verb: "deny", did: "denied", reason: "" };

/// What there is to be said of all runs.
#[derive(Default)]
struct Told {
    runs: usize,
    calls: Vec<Call>,
    /// Of those that could not be asked.
    failed: Vec<String>,
}

pub(crate) fn approvals(typed: &Approvals) -> u8 {
    if typed.watch {
        return watch(typed.json);
    }
    let told = Told::ask(typed.json);
    let mut text: String = told.calls.iter().map(|call| call.text.as_str()).collect();
    if text.is_empty() && !typed.json {
        text = told.nothing();
    }
    let said = say(&text);
    if said { told.status() } else { NOT_SET_UP }
}

fn watch(json: bool) -> u8 {
    let mut shown = BTreeSet::new();
    loop {
        let Told { calls, .. } = Told::ask(json);
        let new = calls.iter().filter(|call| !shown.contains(&call.key()));
        let text: String = new.map(|call| call.text.as_str()).collect();
        if !say(&text) {
            return NOT_SET_UP;
        }
        shown = calls.iter().map(Call::key).collect();
        std::thread::sleep(PACE);
    }
}

pub(crate) fn approve(typed: &Approve) -> u8 {
    match &typed.id {
        Some(id) => decide(id, &APPROVE),
        None if isatty(io::stdin()) && isatty(io::stdout()) => each(),
        None => {
            warn(
                "sandboxd approve: which call?\n  remedy  name the ID that sandboxd approvals shows; on a terminal, leave it out to answer each\n",
            );
            NOT_SET_UP
        }
    }
}

pub(crate) fn deny(typed: &Deny) -> u8 {
    let reason = typed.reason.as_deref().unwrap_or_default();
    decide(&typed.id, &Verdict { reason, ..DENY })
}

/// Asks about each call as it comes.
fn each() -> u8 {
    let (mut later, mut idle) = (BTreeSet::new(), false);
    loop {
        let told = Told::ask(false);
        let Some(call) = told.calls.iter().find(|call| !later.contains(&call.key())) else {
            if !std::mem::replace(&mut idle, true) {
                say("waiting for calls that need approval; press Ctrl-C to stop\n");
            }
            std::thread::sleep(PACE);
            continue;
        };
        idle = false;
        // What was typed before it was shown is no answer to it.
        if let Err(errno) = tcflush(io::stdin(), QueueSelector::IFlush) {
            warn(&format!(
                "sandboxd approve: pending input cannot be discarded: {}\n",
                explain::errno(errno.raw_os_error())
            ));
            return NOT_SET_UP;
        }
        if !say(&format!("\n{}approve? [y]es, [n]o, [l]ater: ", call.text)) {
            return NOT_SET_UP;
        }
        let mut answer = String::new();
        match io::stdin().lock().read_line(&mut answer) {
            Ok(0) => return 0,
            Ok(_) => {}
            Err(error) => {
                warn(&format!("sandboxd approve: {}\n", explain::io(&error)));
                return NOT_SET_UP;
            }
        }
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => tell(call, &APPROVE),
            "n" | "no" => tell(call, &DENY),
            "l" | "later" => u8::from(!later.insert(call.key())),
            _ => 0,
        };
    }
}

/// Decides the call of this ID, in the run that shows it.
fn decide(id: &str, verdict: &Verdict<'_>) -> u8 {
    if [id, verdict.reason].iter().any(|word| word.contains('\n')) {
        warn("sandboxd: an ID and a reason must each be on one line\n");
        return NOT_SET_UP;
    }
    let told = Told::ask(false);
    let mut shown = told.calls.iter().filter(|call| call.id.eq_ignore_ascii_case(id));
    let why = match shown.next() {
        Some(call) if shown.all(|other| other.socket == call.socket) => {
            return tell(call, verdict);
        }
        Some(_) => {
            "several runs show a call with this ID, and only one of them can be genuine\n  remedy  sandboxd approve without an ID shows each call with its run, and answers that one"
        }
        None if told.runs == 0 => {
            "no run here asks for approval\n  remedy  do this as the user who started the run; if the run has ended, so has the call"
        }
        None => {
            "no call waits under this ID: it was answered, timed out, or was cancelled by its caller"
        }
    };
    warn(&format!("sandboxd: not {}: {why}\n", verdict.did));
    if told.failed.is_empty() { NO } else { told.status() }
}

/// Says it to the run that shows the call.
fn tell(call: &Call, verdict: &Verdict<'_>) -> u8 {
    let did = verdict.did;
    let mut runs = control::found(&control::APPROVALS).into_iter();
    let Some((_, stream)) = runs.find(|(socket, _)| *socket == call.socket) else {
        warn(&format!("sandboxd: not {did}: its run ended\n"));
        return NO;
    };
    let run = printable(control::run_of(&call.socket));
    match ask(stream, &format!("{} {} {}", verdict.verb, call.id, verdict.reason)) {
        Ok((true, text)) => {
            let id = text.lines().next().unwrap_or_default();
            u8::from(!say(&format!("{did}: {id} of {run}\n")))
        }
        Ok((false, why)) => {
            warn(&format!("sandboxd: not {did}: {}\n", why.trim_end()));
            NO
        }
        Err(error) => {
            warn(&format!("sandboxd: {run}: {}\n", explain::io(&error)));
            NOT_SET_UP
        }
    }
}

impl Told {
    fn ask(json: bool) -> Self {
        let mut told = Self::default();
        for (socket, stream) in control::found(&control::APPROVALS) {
            told.runs += 1;
            match ask(stream, if json { "list json" } else { "list" }) {
                Ok((_, text)) if json => told.calls.extend(objects(&socket, &text)),
                Ok((_, text)) => told.calls.extend(blocks(&socket, &text)),
                Err(error) => told.failed(&socket, &error),
            }
        }
        told
    }

    /// One that ended meanwhile need not be asked any more.
    fn failed(&mut self, socket: &str, error: &io::Error) {
        if control::found(&control::APPROVALS).iter().all(|(name, _)| name != socket) {
            self.runs = self.runs.saturating_sub(1);
            return;
        }
        let run = printable(control::run_of(socket));
        self.failed.push(format!("sandboxd: {run}: {}\n", explain::io(error)));
    }

    fn nothing(&self) -> String {
        match self.runs {
            0 => String::from(
                "nothing waits: none of your runs asks for approval (approval = \"ask\" in [call.NAME])\n",
            ),
            1 => String::from("nothing waits in the one run that asks\n"),
            runs => format!("nothing waits in the {runs} runs that ask\n"),
        }
    }

    /// Says what failed.
    fn status(&self) -> u8 {
        self.failed.iter().for_each(|failed| warn(failed));
        if self.failed.is_empty() { 0 } else { NOT_SET_UP }
    }
}

/// Says a line, and gives the answer: whether it is a yes, and what follows, as it may be printed.
fn ask(mut stream: UnixStream, line: &str) -> io::Result<(bool, String)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    let answer = printable_lines(&String::from_utf8_lossy(&answer));
    match answer.split_once('\n') {
        Some(("yes", rest)) => Ok((true, rest.to_owned())),
        Some(("no", rest)) => Ok((false, rest.to_owned())),
        Some(_) | None => Err(io::Error::other("its broker gave no answer; try again")),
    }
}

/// The calls of a run: each begins with the one line that is not indented, its ID.
fn blocks(socket: &str, text: &str) -> Vec<Call> {
    let run = printable(control::run_of(socket));
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            let text = format!("{line}\n  run       {run}\n");
            calls.push(Call { socket: socket.to_owned(), id: line.to_owned(), text });
        } else if let Some(call) = calls.last_mut() {
            call.text.push_str(line);
            call.text.push('\n');
        }
    }
    calls
}

/// The same as objects, a line each, which begin with their ID.
fn objects(socket: &str, text: &str) -> Vec<Call> {
    let run = serde_json::Value::from(control::run_of(socket));
    let object = |line: &str| {
        let rest = line.strip_prefix('{')?;
        let id = rest.split(',').next()?.to_owned();
        let text = format!("{{\"run\":{run},{rest}\n");
        Some(Call { socket: socket.to_owned(), id, text })
    };
    text.lines().filter_map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_call_begins_is_all_that_is_looked_for() {
        let calls = blocks("agent-7.00000001", "aaaa-bbbb-cccc\n  caller    agent\ndddd\n  x\n");
        let [one, two] = calls.as_slice() else { panic!("two calls") };
        assert_eq!((one.id.as_str(), two.id.as_str()), ("aaaa-bbbb-cccc", "dddd"));
        assert_eq!(one.text, "aaaa-bbbb-cccc\n  run       agent-7\n  caller    agent\n");
        let calls = objects("agent-7.00000001", "{\"id\":\"aaaa\",\"x\":1}\n");
        let [one] = calls.as_slice() else { panic!("one call") };
        assert_eq!(one.text, "{\"run\":\"agent-7\",\"id\":\"aaaa\",\"x\":1}\n");
    }

    #[test]
    fn what_a_broker_says_acts_on_no_terminal() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let broker = std::thread::spawn(move || {
            let mut stream = theirs;
            let mut line = [0; 5];
            stream.read_exact(&mut line).unwrap();
            stream.write_all(b"yes\nx\x1b[2J\xff\n  y\r\n").unwrap();
        });
        let (yes, text) = ask(ours, "list").unwrap();
        broker.join().unwrap();
        assert!(yes);
        assert_eq!(text, "x\\u{1b}[2J\u{fffd}\n  y\\r\n");
    }
}
