//! `sandboxd ps` and `sandboxd stop`.

use super::NOT_SET_UP;
use super::audit::unread_json;
use super::output::{say, say_json, say_json_line, warn};
use super::typed::{Ps, Stop};
use crate::audit_folder;
use crate::explain::printable;
use crate::living::{self, Found, Run, Sandbox, Used};
use sandboxd_audit::AuditError;
use sandboxd_audit::time::Stamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The status that says that one goes on, or that there is none.
const NO: u8 = 1;

/// How long a run may take to end: the command's two seconds, what is cleaned up after it, and a machine that is busy.
const WITHIN: Duration = Duration::from_secs(20);

/// The titles, and a line for each sandbox.
type Table = Vec<[String; 6]>;

/// How often, and in which intervals, one that is to end at once is asked again: two of the same signal become one
/// where the first was not taken yet.
const AGAIN: [Duration; 3] = [Duration::from_millis(20); 3];

pub(crate) fn ps(typed: &Ps) -> u8 {
    let Found { runs, elsewhere, unread: troubles } = match all() {
        Ok(found) => found,
        Err(error) => return unread(&error, typed.json),
    };
    for held in &elsewhere {
        warn(&not_here(held).words());
    }
    let said = if typed.json {
        say_json(&runs.iter().map(as_json).collect::<Vec<_>>())
    } else if runs.is_empty() {
        say("you have no running sandboxes\n")
    } else {
        say(&aligned(&table(&runs)))
    };
    let unread = troubles.iter().map(|error| self::unread(error, false)).next_back();
    unread.unwrap_or(if said { 0 } else { NOT_SET_UP })
}

fn all() -> Result<Found, AuditError> {
    audit_folder::open().and_then(|folder| living::runs(&folder))
}

fn unread(error: &AuditError, json: bool) -> u8 {
    if json {
        say_json(&unread_json(error));
        return NOT_SET_UP;
    }
    warn(&format!(
        "sandboxd: the audit log could not be read: {}\n  remedy  {}\n",
        audit_folder::line(error),
        error.remedy
    ));
    NOT_SET_UP
}

fn as_json(run: &Run) -> Value {
    let sandboxes = run.sandboxes.iter().map(|sandbox| {
        let used = sandbox.used();
        json!({
            "id": sandbox.id, "profile": sandbox.profile, "command": sandbox.command,
            "since": sandbox.since, "pid": sandbox.pid, "uid": sandbox.uid,
            "memory": used.memory, "processes": used.processes,
            "depth": sandbox.depth(&run.sandboxes), "service": sandbox.is_service(),
        })
    });
    let run = run.own().map(|own| &own.id);
    json!({ "run": run, "sandboxes": sandboxes.collect::<Vec<_>>() })
}

fn table(runs: &[Run]) -> Table {
    let titles = ["RUN", "PROFILE", "SINCE", "MEMORY", "PROCESSES", "COMMAND"];
    let mut table = vec![titles.map(str::to_owned)];
    for run in runs {
        for (number, sandbox) in run.sandboxes.iter().enumerate() {
            let steps = sandbox.depth(&run.sandboxes).max(usize::from(number > 0));
            let Used { memory, processes } = sandbox.used();
            let dash = || String::from("-");
            table.push([
                format!("{}{}", "  ".repeat(steps), sandbox.id),
                sandbox.profile.clone(),
                Stamp::parse(&sandbox.since).map_or_else(dash, |at| since(at, Stamp::now())),
                memory.map_or_else(dash, mebibytes),
                processes.map_or_else(dash, |number| number.to_string()),
                if sandbox.is_service() {
                    String::from("(sandboxd's own)")
                } else {
                    sandbox.command.clone()
                },
            ]);
        }
    }
    table
}

/// `3 d 4 h`, `4 h 12 min`, `12 min`, `9 s`.
fn since(at: Stamp, now: Stamp) -> String {
    let seconds = now.0.saturating_sub(at.0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn aligned(table: &Table) -> String {
    let mut widths = [0; 6];
    for line in table {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(printable(cell).chars().count());
        }
    }
    let line = |line: &[String; 6]| {
        let cells = line.iter().zip(widths);
        let text: String =
            cells.map(|(cell, width)| format!("{:<width$}  ", printable(cell))).collect();
        format!("{}\n", text.trim_end())
    };
    table.iter().map(line).collect()
}

pub(crate) fn stop(typed: &Stop) -> u8 {
    let Found { runs, elsewhere, unread: troubles } = match all() {
        Ok(found) => found,
        Err(error) if typed.json => {
            say_json_line(&unread_json(&error));
            return NOT_SET_UP;
        }
        Err(error) => return unread(&error, false),
    };
    let here: Vec<&Sandbox> = runs.iter().filter_map(Run::own).collect();
    // A copy of a log is not another run.
    let there: Vec<&Sandbox> =
        elsewhere.iter().filter(|held| here.iter().all(|own| own.id != held.id)).collect();
    let named: Vec<Meant<'_>> = match typed.runs.as_slice() {
        [] => vec![Meant { name: "", here, there }],
        names => names.iter().map(|name| meant(&here, &there, name, typed.all)).collect(),
    };
    let several: Vec<Refused<'_>> =
        named.iter().filter(|_| !typed.all).filter_map(several).collect();
    let none = !several.is_empty();
    let unknown = named.iter().filter(|_| !typed.runs.is_empty()).filter_map(nobody);
    let held = named.iter().filter(|_| !none).flat_map(|meant| &meant.there);
    let held = held.map(|held| not_here(held));
    let refused: Vec<Refused<'_>> = unknown.chain(several).chain(held).collect();
    if !refused.iter().all(|refused| refused.say(typed.json)) {
        return NOT_SET_UP;
    }
    if none {
        return NO;
    }
    let asked =
        |own: &Sandbox| named.iter().any(|meant| meant.here.iter().any(|one| one.id == own.id));
    let wanted: Vec<&Run> = runs.iter().filter(|run| run.own().is_some_and(asked)).collect();
    // All are asked before the first is waited for.
    let mut asked: Vec<_> = wanted.iter().map(|run| run.stop()).collect();
    for pause in AGAIN.into_iter().filter(|_| typed.now) {
        std::thread::sleep(pause);
        asked = wanted.iter().map(|run| run.stop()).collect();
    }
    let until = Instant::now() + WITHIN;
    let mut ended = refused.is_empty();
    for (run, asked) in wanted.iter().zip(asked) {
        let Some(own) = run.own() else { continue };
        let gone = run.is_gone(until);
        let why = if gone { None } else { Some(asked.err().unwrap_or_else(late)) };
        ended &= gone;
        if !told(own, why.as_deref().map(|why| (why, run.pid)), typed.json) {
            return NOT_SET_UP;
        }
    }
    let unread = troubles.iter().map(|error| self::unread(error, false)).next_back();
    unread.unwrap_or(if ended { 0 } else { NO })
}

/// Whom a name means.
struct Meant<'a> {
    /// As it was typed; nothing where all are meant.
    name: &'a str,
    here: Vec<&'a Sandbox>,
    /// Those that are not to be ended from here.
    there: Vec<&'a Sandbox>,
}

/// Whom a name means: the run of this id, else those of this profile, and of them those elsewhere only where there is
/// none here, or all are asked for.
fn meant<'a>(here: &[&'a Sandbox], there: &[&'a Sandbox], name: &'a str, all: bool) -> Meant<'a> {
    let those = |is: &dyn Fn(&Sandbox) -> bool| {
        let [here, there] =
            [here, there].map(|some| some.iter().copied().filter(|own| is(own)).collect());
        Meant { name, here, there }
    };
    let one = those(&|own| own.id == name);
    if !(one.here.is_empty() && one.there.is_empty()) {
        return one;
    }
    let mut named = those(&|own| own.profile == name);
    if !(all || named.here.is_empty()) {
        named.there.clear();
    }
    named
}

/// Why what was typed ends no run.
#[derive(Debug)]
struct Refused<'a> {
    name: &'a str,
    why: String,
    /// Those that it may mean.
    runs: Vec<&'a Sandbox>,
    remedy: String,
}

impl Refused<'_> {
    /// Says it, to programs where they look for what ended; whether that worked.
    fn say(&self, json: bool) -> bool {
        if json {
            return say_json_line(&self.json());
        }
        warn(&self.words());
        true
    }

    fn json(&self) -> Value {
        let Self { name, why, runs, remedy } = self;
        let runs: Vec<&String> = runs.iter().map(|run| &run.id).collect();
        json!({ "run": name, "ended": false, "why": why, "runs": runs, "remedy": remedy })
    }

    fn words(&self) -> String {
        let line =
            |run: &&Sandbox| format!("  {}  {}\n", printable(&run.id), printable(&run.command));
        let runs: String = self.runs.iter().map(line).collect();
        format!("sandboxd: {}\n{runs}  remedy  {}\n", self.why, self.remedy)
    }
}

fn nobody<'a>(meant: &Meant<'a>) -> Option<Refused<'a>> {
    let Meant { name, here, there } = meant;
    (here.is_empty() && there.is_empty()).then(|| Refused {
        name,
        why: format!("you have no running sandbox called {}", printable(name)),
        runs: Vec::new(),
        remedy: String::from("sandboxd ps lists the sandboxes that you started"),
    })
}

fn not_here(held: &Sandbox) -> Refused<'_> {
    Refused {
        name: &held.id,
        why: format!(
            "{}: its log is held by a process that is not visible here, most likely in the pid namespace of a container",
            printable(&held.id)
        ),
        runs: Vec::new(),
        remedy: String::from("list and stop it there"),
    }
}

/// What is said of a name that is no one run's: whoever typed it meant one of them, most likely.
fn several<'a>(Meant { name, here, .. }: &Meant<'a>) -> Option<Refused<'a>> {
    if here.len() < 2 {
        return None;
    }
    let shown = printable(name);
    Some(Refused {
        name,
        why: format!("{} of your runs are called {shown}; none was stopped", here.len()),
        runs: here.clone(),
        remedy: format!(
            "sandboxd stop ID, for one of them; sandboxd stop --all {shown}, for all of them"
        ),
    })
}

fn late() -> String {
    format!("it did not end within {} s", WITHIN.as_secs())
}

fn told(own: &Sandbox, why: Option<(&str, u32)>, json: bool) -> bool {
    let Some((why, pid)) = why else {
        let ended = json!({ "run": own.id, "ended": true });
        return say(&if json {
            format!("{ended}\n")
        } else {
            format!("{}: ended\n", printable(&own.id))
        });
    };
    let remedy = format!("kill -9 {pid} ends its supervisor, and the sandbox with it");
    say(&if json {
        format!("{}\n", json!({ "run": own.id, "ended": false, "why": why, "remedy": remedy }))
    } else {
        format!("{}: still running: {}\n  remedy  {remedy}\n", printable(&own.id), printable(why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_their_two_largest_parts() {
        let told = |seconds: u64| since(Stamp(0), Stamp(seconds * 1000));
        assert_eq!(
            [9, 75, 3 * 3600 + 60, 90 * 3600].map(told),
            ["9 s", "1 min", "3 h 1 min", "3 d 18 h"]
        );
        assert_eq!(mebibytes(32_611_123), "31.1 MiB");
    }

    #[test]
    fn what_ends_no_run_is_said_on_one_line_to_programs() {
        let told = nobody(&meant(&[], &[], "a\n", false)).unwrap();
        let line = told.json().to_string();
        assert!(line.contains(r#""ended":false"#) && !line.contains('\n'), "{line}");
        assert_eq!(told.json()["run"], "a\n");
        assert!(told.words().contains("remedy") && told.words().lines().count() == 2);
    }

    #[test]
    fn an_id_is_meant_before_the_name_of_a_profile_is() {
        let sandbox = |id: &str, profile: &str| Sandbox {
            id: id.to_owned(),
            profile: profile.to_owned(),
            command: String::from("sh"),
            since: String::new(),
            pid: None,
            uid: None,
            cgroups: Vec::new(),
        };
        let all = [sandbox("a-1", "a"), sandbox("a-2", "a"), sandbox("b-3", "a-1")];
        let held = [sandbox("a-4", "a"), sandbox("c-5", "c")];
        let (here, there): (Vec<&Sandbox>, Vec<&Sandbox>) =
            (all.iter().collect(), held.iter().collect());
        let ids = |name, all| {
            let Meant { here, there, .. } = meant(&here, &there, name, all);
            let ids = |some: Vec<&Sandbox>| -> Vec<String> {
                some.iter().map(|one| one.id.clone()).collect()
            };
            (ids(here).join(" "), ids(there).join(" "))
        };
        let pair = |here: &str, there: &str| (here.to_owned(), there.to_owned());
        assert_eq!(ids("a-1", true), pair("a-1", ""));
        assert_eq!(ids("a", false), pair("a-1 a-2", ""));
        assert_eq!(ids("a", true), pair("a-1 a-2", "a-4"));
        assert_eq!(ids("a-4", false), pair("", "a-4"));
        assert_eq!(ids("c", false), pair("", "c-5"));
        assert_eq!(ids("d", true), pair("", ""));
        assert!(several(&meant(&here, &there, "a-1", false)).is_none());
        let told = several(&meant(&here, &there, "a", false)).unwrap();
        assert_eq!(told.json()["runs"], json!(["a-1", "a-2"]));
        assert!(told.words().contains("\n  a-2  sh\n"), "{}", told.words());
        assert!(not_here(&held[0]).words().starts_with("sandboxd: a-4: its log is held"));
    }

    #[test]
    fn columns_stand_below_each_other_and_no_name_acts_on_a_terminal() {
        let line = |first: &str| {
            let mut cells = <[String; 6]>::default();
            (cells[0], cells[1]) = (first.to_owned(), String::from("x"));
            cells
        };
        assert_eq!(aligned(&vec![line("a\x1b"), line("abc")]), "a\\u{1b}  x\nabc      x\n");
    }
}
