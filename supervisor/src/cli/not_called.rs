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
    let whom = if edge.is_empty() { "an unknown edge" } else { edge };
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
        "method" => ("method not allowed", "list it: methods of [call.EDGE] or CALLEE's [serve]"),
        "params" => ("invalid parameters for this method", "fix the caller: it sent them"),
        "reach" => (
            "not named, or not there",
            "if it exists, list it: tools, resources or prompts of [call.EDGE] or CALLEE's [serve]; a tool that changed since it was accepted is hidden: sandboxd pins",
        ),
        "arguments" => (
            "invalid arguments",
            "compare them with the tool's schema and with arguments of [call.EDGE]",
        ),
        "rate" => (
            "rate limit exceeded",
            "raise rate of [call.EDGE] or CALLEE's [serve], or rate of CALLER's [budget]",
        ),
        "busy" => ("queue full", "raise in_flight of [call.EDGE] or CALLEE's [serve]"),
        "breaker" => {
            ("it failed too often and is paused", "find out why CALLEE fails: sandboxd call")
        }
        "quarantine" => (
            "in quarantine: everything is denied for a minute, after too many denials",
            "fix the earlier denials first",
        ),
        "repeats" => ("identical call repeated too often", "check the caller: it is in a loop"),
        "budget" => ("the budget of calls is used up", "raise calls of CALLER's [budget]"),
        "chain" => ("the chain of calls is too long, or loops", "check sandboxd graph"),
        "revoked" => ("revoked, or expired", "sandboxd audit show --kind revoked"),
        "approval" => (
            "denied, or not approved in time",
            "answer in time: sandboxd approvals; who denied it: sandboxd audit show --kind approval",
        ),
        "record" => (
            "its audit record could not be written",
            "find out why the audit log fails: sandboxd doctor",
        ),
        "deadline" => ("timed out", "raise deadline of [call.EDGE]"),
        "gone" => (
            "the callee was not there, or ended before it answered",
            "call it yourself and see what it says: sandboxd call",
        ),
        "reply" => (
            "the callee returned an invalid response",
            "check CALLEE: no client understands its answer",
        ),
        "reverse" => {
            ("the callee may not ask its caller anything", "allow it: reverse of [call.EDGE]")
        }
        "secret" => (
            "a placeholder where no secret is allowed, or too many of them",
            "write {{secret:NAME}} only where placeholder of CALLER's [secrets.NAME] has it: sandboxd secret list",
        ),
        "no_edge" => ("no such edge", "add [call.NAME] with the profile of the callee"),
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
        assert_eq!(text, "agent calling notes: tools/call: rate limit exceeded");
        let text =
            line(&called(""), &RefusedCall { method: String::new(), ..refused("no_edge", 2, &[]) });
        assert_eq!(text, "agent calling an unknown edge: no such edge, 2 times");
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
