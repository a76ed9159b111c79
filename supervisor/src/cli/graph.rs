//! `sandboxd graph`.

use super::NOT_SET_UP;
use super::output::{refuse, say, say_json};
use super::typed::{Graph as Typed, GraphCommand};
use crate::sandbox::StartError;
use crate::{explain, host, profile_file};
use sandboxd_plan::HostPath;
use sandboxd_profiles::graph::{self, Answer, Change, Direction, Target};
use sandboxd_profiles::{Document, Folders, Graph, Problem};
use std::path::Path;

/// The status that says "it cannot be reached", and "something widened". Where that is not known, it is neither.
const NO: u8 = 1;

pub(crate) fn graph(typed: &Typed) -> u8 {
    if let Some(GraphCommand::Diff { old, new, json }) = &typed.command {
        return diff(old, new, *json);
    }
    let mut sources = typed.profile.clone();
    sources.extend(typed.folder.clone());
    if sources.is_empty() {
        sources.push(String::from("."));
    }
    let graph = match load(&sources) {
        Ok(graph) => graph,
        Err(problems) => return refused(&sources.join(" "), problems, typed.json),
    };
    match (&typed.from, &typed.to) {
        (Some(from), Some(to)) => ways(&graph, from, to, typed.json),
        _ if typed.dot => said(say(&graph.dot()), 0),
        _ if typed.json => said(say_json(&graph.json()), 0),
        _ => said(say(&explained(&graph.text())), 0),
    }
}

/// A status, where it could be told.
fn said(told: bool, status: u8) -> u8 {
    if told { status } else { NOT_SET_UP }
}

fn refused(what: &str, problems: Vec<Problem>, json: bool) -> u8 {
    refuse(&StartError::Problems(problems), what, json);
    NOT_SET_UP
}

/// The graph of profiles, and of all profiles in folders.
fn load(sources: &[String]) -> Result<Graph, Vec<Problem>> {
    of(sources, documents(sources)?, None)
}

fn documents(sources: &[String]) -> Result<Vec<Document>, Vec<Problem>> {
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    for source in sources {
        match files(source) {
            Ok(files) => {
                for read in files.iter().map(|file| profile_file::read(file)) {
                    match read {
                        Ok(document) => documents.push(document),
                        Err(problem) => problems.push(problem),
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(documents) } else { Err(problems) }
}

/// The graph of these profiles; of those that lie in one folder as if that were another, where that is wanted.
fn of(
    sources: &[String],
    documents: Vec<Document>,
    moved: Option<(HostPath, HostPath)>,
) -> Result<Graph, Vec<Problem>> {
    let (cwd, home) = host::folders();
    // Shown as they would be typed here.
    let here = cwd.clone();
    let mut read = |path: &HostPath| {
        let below = here.as_ref().and_then(|here| path.below(here));
        let name = below.filter(|below| !below.is_empty()).unwrap_or(path.as_str());
        profile_file::read(name).map_err(|problem| problem.what)
    };
    let graph = graph::load(documents, &Folders { cwd, home, moved }, &mut read)?;
    if graph.names().is_empty() {
        let remedy = "name a profile with -p, or a folder with profiles that have a name";
        return Err(vec![problem(&sources.join(" "), "there is no profile with a name", remedy)]);
    }
    Ok(graph)
}

/// A profile, or those of a folder by name.
fn files(source: &str) -> Result<Vec<String>, Problem> {
    if source.starts_with("builtin:") || !Path::new(source).is_dir() {
        return Ok(vec![source.to_owned()]);
    }
    let unreadable = |error: std::io::Error| {
        problem(source, &error.to_string(), "name a folder that you may read")
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(source).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let Some(path) = path.to_str() else {
                let what = "a file in it has a name that is not UTF-8";
                return Err(problem(source, what, "give it a plain name"));
            };
            files.push(path.strip_prefix("./").unwrap_or(path).to_owned());
        }
    }
    files.sort();
    Ok(files)
}

fn problem(file: &str, what: &str, remedy: &str) -> Problem {
    Problem {
        file: file.to_owned(),
        at: None,
        key: String::new(),
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    }
}

fn ways(graph: &Graph, from: &str, to: &str, json: bool) -> u8 {
    let known = |name: &str| graph.names().contains(&name);
    let target = match to {
        "net" => Target::Network,
        path if path.starts_with('/') => match HostPath::try_from(path) {
            Ok(path) => Target::Path(path),
            Err(error) => {
                let what = format!("{path} {error}");
                let remedy = "write the path from / with no `..`";
                return refused("--to", vec![problem("command line", &what, remedy)], json);
            }
        },
        name => Target::Profile(name.to_owned()),
    };
    for name in [Some(from), matches!(target, Target::Profile(_)).then_some(to)] {
        if let Some(name) = name.filter(|name| !known(name)) {
            let what = format!("there is no profile called {name}");
            let remedy = format!("the profiles are {}", graph.names().join(", "));
            return refused("graph", vec![problem("command line", &what, &remedy)], json);
        }
    }
    let Some(answer) = graph.ways(from, &target) else { return NOT_SET_UP };
    let status = match (answer.ways.as_slice(), answer.cut_short) {
        ([], true) => NOT_SET_UP,
        ([], false) => NO,
        _ => 0,
    };
    if json {
        return said(say_json(&answer), status);
    }
    said(say(&explained(&words(&answer))), status)
}

fn words(answer: &Answer) -> String {
    let Answer { from, to, ways, cut_short } = answer;
    if ways.is_empty() {
        return if *cut_short {
            format!(
                "unknown whether {from} can reach {to}: there are more paths than were examined\n"
            )
        } else {
            format!("{from} cannot reach {to}\n")
        };
    }
    let mut text = format!("{from} can reach {to}:\n");
    for way in ways {
        let mut chain = from.clone();
        for call in &way.calls {
            chain += &format!(" -> {}", call.callee);
        }
        let itself = if way.calls.is_empty() { " itself" } else { "" };
        text += &format!("\n  {chain}{itself}\n");
        for call in &way.calls {
            let as_name = if call.edge == call.callee {
                String::new()
            } else {
                format!(" (as {})", call.edge)
            };
            text += &format!(
                "    {} calls {}{as_name} ({}): {}\n      by {}; {}\n",
                call.caller,
                call.callee,
                call.at,
                call.may_call.join(", "),
                call.authority,
                call.instances
            );
        }
        text += &format!("    may {}\n", list(&way.may));
        if !way.parts.is_empty() {
            text += &format!("    there only {}\n", way.parts.join(", "));
        }
    }
    if *cut_short {
        text += "\nthere are more paths than were examined\n";
    }
    text
}

fn list(words: &[String]) -> String {
    if words.is_empty() { String::from("touch nothing of the host") } else { words.join(", ") }
}

/// What changed from these profiles to those. The first of each lies where all do.
fn changes(old: &str, new: &str) -> Result<Vec<Change>, Vec<Problem>> {
    let [old, new] = [&[old.to_owned()], &[new.to_owned()]];
    let (older, newer) = (documents(old)?, documents(new)?);
    let folder = |documents: &[Document]| documents.first()?.folder.clone();
    let moved = folder(&older).zip(folder(&newer));
    Ok(of(old, older, moved)?.changes(&of(new, newer, None)?))
}

fn diff(old: &str, new: &str, json: bool) -> u8 {
    let changes = match changes(old, new) {
        Ok(changes) => changes,
        Err(problems) => return refused(&format!("{old} {new}"), problems, json),
    };
    let widened = changes.iter().any(|change| change.direction == Direction::Widened);
    let status = if widened { NO } else { 0 };
    if json {
        return said(say_json(&changes), status);
    }
    said(say(&explained(&changed(&changes))), status)
}

fn changed(changes: &[Change]) -> String {
    if changes.is_empty() {
        return String::from("nothing changed\n");
    }
    let line = |change: &Change| {
        let word = match change.direction {
            Direction::Widened => "widened ",
            Direction::Narrowed => "narrowed",
        };
        format!("{word}  {}: {}  ({})\n", change.of, change.what, change.at)
    };
    changes.iter().map(line).collect()
}

/// What profiles say may hold anything; a terminal must not obey it.
fn explained(text: &str) -> String {
    text.lines().map(|line| explain::printable(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nothing_is_reached_is_said_only_where_every_way_was_looked_at() {
        let answer =
            |cut_short| Answer { from: "a".into(), to: "net".into(), ways: Vec::new(), cut_short };
        assert_eq!(words(&answer(false)), "a cannot reach net\n");
        assert!(words(&answer(true)).starts_with("unknown whether a can reach net"));
    }
}
