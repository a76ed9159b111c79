//! What a person is told of calls that a broker refused.

use crate::calls::{Called, RefusedCall};
use crate::explain::printable;

/// So many tools are named of those that one rule kept from being called.
const NAMED: usize = 5;

/// Every refusal, with the edge that it was over.
pub(super) fn all(called: &[Called]) -> impl Iterator<Item = (&Called, &RefusedCall)> {
    called.iter().flat_map(|edge| edge.refused.iter().map(move |one| (edge, one)))
}

/// What was refused, to whom, why, and how often.
pub(super) fn line(Called { caller, edge, .. }: &Called, one: &RefusedCall) -> String {
    let tools: Vec<String> = one.tools.iter().take(NAMED).map(|tool| printable(tool)).collect();
    let what = match (tools.as_slice(), one.method.as_str()) {
        ([], "") => String::new(),
        ([], method) => format!(": {method}"),
        (tools, _) if one.tools.len() > NAMED => format!(": {} and others", tools.join(", ")),
        (tools, _) => format!(": {}", tools.join(", ")),
    };
    let whom = if edge.is_empty() { "somebody" } else { edge };
    let times = if one.times == 1 { String::new() } else { format!(", {} times", one.times) };
    format!("{caller} calling {whom}{what}: {}{times}", known(&one.rule).0)
}

/// The same for a client, without the tools that it meant: what it may not call, it is not told is there.
pub(super) fn line_for_a_client(called: &Called, one: &RefusedCall) -> String {
    line(called, &RefusedCall { tools: Vec::new(), ..one.clone() })
}

/// What helps, in words.
pub(super) fn remedy(Called { caller, edge, callee, .. }: &Called, one: &RefusedCall) -> String {
    let text = known(&one.rule).1.replace("CALLER", caller).replace("CALLEE", callee);
    // One client and one server are all that there is in sandboxd mcp.
    if edge == callee && caller == "client" {
        let text = text.replace(&format!("[call.EDGE] or {callee}'s [serve]"), "[serve]");
        return text.replace("[call.EDGE]", "[serve.client]");
    }
    text.replace("EDGE", edge)
}

/// What a rule is in words, and what helps.
fn known(rule: &str) -> (&'static str, &'static str) {
    match rule {
        "method" => {
            ("no such method is named", "name it: methods of [call.EDGE] or CALLEE's [serve]")
        }
        "params" => {
            ("what was said is not what the method has", "look at the caller: it is its mistake")
        }
        "reach" => (
            "not named, or not there",
            "where it is there, name it: tools, resources or prompts of [call.EDGE] or CALLEE's [serve]; a tool that changed since it was accepted is not there: sandboxd pins",
        ),
        "arguments" => (
            "its arguments are not what they must be",
            "look at the schema of the tool, and at arguments of [call.EDGE]",
        ),
        "rate" => (
            "too often",
            "raise rate of [call.EDGE] or CALLEE's [serve], or rate of CALLER's [budget]",
        ),
        "busy" => ("too many waited already", "raise in_flight of [call.EDGE] or CALLEE's [serve]"),
        "breaker" => {
            ("it failed too often", "find out why CALLEE fails: call it by hand, sandboxd call")
        }
        "quarantine" => (
            "refused everything for a minute, after what else was refused",
            "see to what was refused before",
        ),
        "repeats" => {
            ("the very same call too often", "look at the caller: it goes round in a circle")
        }
        "budget" => ("no calls left", "raise calls of CALLER's [budget]"),
        "chain" => ("the chain of calls is too long, or comes back", "look at sandboxd graph"),
        "revoked" => {
            ("it was taken back, or its time was over", "sandboxd audit show --kind revoked")
        }
        "approval" => (
            "nobody approved it, or somebody said no",
            "answer in time: sandboxd approvals; who said no: sandboxd audit show --kind approval",
        ),
        "record" => {
            ("it could not be written down before", "see what the audit log lacks: sandboxd doctor")
        }
        "deadline" => ("no answer in time", "raise deadline of [call.EDGE]"),
        "gone" => (
            "what was called was not there, or ended before it answered",
            "call it by hand, and see what it says: sandboxd call",
        ),
        "reply" => ("the answer was none", "look at CALLEE: it answers what no client understands"),
        "reverse" => {
            ("it asked something back, which it may not", "let it: reverse of [call.EDGE]")
        }
        "secret" => (
            "a placeholder stands where no secret does, or there are too many",
            "write {{secret:NAME}} only where placeholder of CALLER's [secrets.NAME] has it: sandboxd secret list",
        ),
        "no_edge" => ("no such edge", "write [call.NAME] with the profile of what is called"),
        _ => ("refused", "see the audit log: sandboxd audit show"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandboxd_broker_plan::record::Rule;

    fn called(edge: &str) -> Called {
        let (caller, callee) = (String::from("agent"), String::from("tool"));
        Called { caller, edge: edge.to_owned(), callee, ..Called::default() }
    }

    fn refused(rule: &str, times: u64, tools: &[&str]) -> RefusedCall {
        let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        RefusedCall { method: "tools/call".into(), rule: rule.into(), times, tools }
    }

    #[test]
    fn a_refusal_says_what_was_called_and_what_helps() {
        let text = line(&called("notes"), &refused("reach", 3, &["write", "move"]));
        assert_eq!(text, "agent calling notes: write, move: not named, or not there, 3 times");
        let text = line(&called("notes"), &refused("rate", 1, &[]));
        assert_eq!(text, "agent calling notes: tools/call: too often");
        let text =
            line(&called(""), &RefusedCall { method: String::new(), ..refused("no_edge", 2, &[]) });
        assert_eq!(text, "agent calling somebody: no such edge, 2 times");
        let many = line(&called("notes"), &refused("reach", 9, &["a", "b", "c", "d", "e", "f"]));
        assert!(many.contains("d, e and others"), "{many}");
        let text = remedy(&called("notes"), &refused("busy", 1, &[]));
        assert_eq!(text, "raise in_flight of [call.notes] or tool's [serve]");
        let client = Called { caller: "client".into(), ..called("tool") };
        assert_eq!(remedy(&client, &refused("busy", 1, &[])), "raise in_flight of [serve]");
        let late = remedy(&client, &refused("deadline", 1, &[]));
        assert_eq!(late, "raise deadline of [serve.client]");
    }

    #[test]
    fn a_client_is_told_of_no_tool() {
        let client = Called { caller: "client".into(), ..called("tool") };
        let text = line_for_a_client(&client, &refused("reach", 3, &["write", "move"]));
        assert_eq!(text, "client calling tool: tools/call: not named, or not there, 3 times");
    }

    #[test]
    fn every_rule_has_words_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for rule in Rule::ALL.iter().filter(|rule| **rule != Rule::Cancelled) {
            assert!(seen.insert(known(rule.text())), "{rule:?}");
        }
        assert!(!seen.contains(&known("nothing")));
    }
}
