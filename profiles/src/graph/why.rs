//! May a profile call this, and where is that written: what the broker holds a call against.

use super::{Edge, Graph};
use crate::origin::Written;
use crate::schema::Approval;
use crate::why::{Answer, Judged, Line, allows, refuses};
use sandboxd_broker_plan::Pattern;

const BROKER: &str = "broker";

impl Graph {
    /// May `caller` call a tool of what it calls `name`; without a tool, anything there?
    #[must_use]
    pub fn why(&self, caller: &str, name: &str, tool: Option<&str>) -> Answer {
        let mut answer = Answer::new(question(name, tool));
        let edges = self.find(caller).map(|place| self.from(place).collect::<Vec<_>>());
        let edges = edges.unwrap_or_default();
        let Some(edge) = edges.iter().find(|edge| edge.name.as_str() == name) else {
            answer.say(none(caller, name, &edges), None);
            return answer;
        };
        let line = vec![Line::from(&edge.origin)];
        answer.say(allows(BROKER, format!("{caller} may call {name}"), line), None);
        let callee = self.node(edge.callee);
        let served = callee.profile.serve.as_ref().map(|serve| serve.reach.tools.as_slice());
        let served = served.unwrap_or_default();
        match tool {
            Some(tool) => {
                answer.say(matched(&edge.call.reach.tools, tool, ("the edge", "name")), None);
                answer.say(matched(served, tool, (callee.name.as_str(), "serve")), None);
                conditions(edge, tool, &mut answer);
            }
            None => {
                let both = self.reach(edge);
                for (list, patterns) in &both {
                    let names: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
                    answer.note(format!("{list}: {}", names.join(", ")));
                }
                if both.is_empty() {
                    let what = format!("the edge and {} name nothing in common", callee.name);
                    answer.say(refuses(BROKER, what, Vec::new()), None);
                }
            }
        }
        answer
    }
}

/// The answer where a profile calls nobody at all.
#[must_use]
pub fn nobody(caller: &str, name: &str, tool: Option<&str>) -> Answer {
    let mut answer = Answer::new(question(name, tool));
    answer.say(none(caller, name, &[]), None);
    answer
}

fn question(name: &str, tool: Option<&str>) -> String {
    tool.map_or_else(|| format!("call {name}"), |tool| format!("call {tool} of {name}"))
}

/// There is no such edge.
fn none(caller: &str, name: &str, edges: &[&Edge]) -> Judged {
    let names: Vec<&str> = edges.iter().map(|edge| edge.name.as_str()).collect();
    let what = match names.as_slice() {
        [] => format!("{caller} calls nothing: it has no [call.{name}]"),
        _ => format!("{caller} has no [call.{name}]; it may call {}", names.join(", ")),
    };
    refuses(BROKER, what, Vec::new())
}

/// Whether a pattern means the tool, and which; `who` names it, or serves it.
fn matched(patterns: &[Written<Pattern>], tool: &str, (who, does): (&str, &str)) -> Judged {
    let found = patterns.iter().find(|pattern| pattern.value.matches(tool));
    match found {
        Some(pattern) => {
            let what = format!("{who} {does}s {tool}");
            allows(BROKER, what, vec![Line::from(&pattern.origin)])
        }
        None => {
            let names: Vec<&str> = patterns.iter().map(|pattern| pattern.value.as_str()).collect();
            let names = match names.as_slice() {
                [] => String::from("nothing"),
                names => names.join(", "),
            };
            let what = format!("{who} does not {does} {tool}; it {does}s {names}");
            let lines = patterns.iter().map(|pattern| Line::from(&pattern.origin)).collect();
            refuses(BROKER, what, lines)
        }
    }
}

/// What an allowed call must still come up to.
fn conditions(edge: &Edge, tool: &str, answer: &mut Answer) {
    for (_, schema) in edge.call.arguments.iter().filter(|(name, _)| name == tool) {
        let Line { file, line, key } = Line::from(&schema.origin);
        let line = line.map_or_else(String::new, |line| format!(":{line}"));
        answer.note(format!("its arguments must match {key}, {file}{line}"));
    }
    if edge.call.approval.as_ref().is_some_and(|word| word.value == Approval::Ask) {
        answer.note("each call needs a person's approval");
    }
    answer.note(
        "only what the server lists at the time can be called, as often as rate and budget allow",
    );
}
