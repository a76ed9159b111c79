//! What a person is told of what a run used up: of its limits, of each model, and of its budget.

use super::output::count;
use crate::sandbox::{RunResult, UsedUp};

/// So many models are said one by one.
const SAID: usize = 8;

/// A line for each model, and one for the budget where something of it could be used up.
pub(super) fn words(sandbox: &str, used: &UsedUp) -> String {
    let mut lines = Vec::new();
    for (name, model) in used.models.iter().take(SAID) {
        let mut line = format!(
            "used: {}: {} tokens in, {} out, {}",
            if name.is_empty() { "a model without a name" } else { name },
            model.input_tokens,
            model.output_tokens,
            count(model.calls, "call"),
        );
        if model.cached_tokens > 0 {
            line.push_str(&format!(" ({} from a cache)", model.cached_tokens));
        }
        if let Some(cost) = &model.cost {
            let whose = if model.priced { "" } else { ", at the highest price: no price names it" };
            line.push_str(&format!(", cost {cost}{whose}"));
        }
        if model.estimated > 0 {
            line.push_str(&format!(
                "; estimated for {}: the API did not say",
                count(model.estimated, "call")
            ));
        }
        lines.push(line);
    }
    let rest = used.models.len().saturating_sub(SAID);
    if rest > 0 {
        lines.push(format!("used: {} more (see --json)", count(many(rest), "model")));
    }
    let mut of = Vec::new();
    of.extend(used.tokens_limit.map(|limit| format!("{} of {limit} tokens", used.tokens)));
    let cost = used.cost.as_deref().unwrap_or("0");
    of.extend(used.cost_limit.as_ref().map(|limit| format!("a cost of {cost} of {limit}")));
    of.extend(used.bytes_limit.map(|limit| format!("{} of {limit} bytes", used.bytes)));
    if !of.is_empty() {
        lines.push(format!("used of the budget: {}", of.join(", ")));
    }
    lines.iter().map(|line| format!("sandboxd: {sandbox}: {line}\n")).collect()
}

/// The limits that it reached, and the keys that raise them; and what only the kernel ends.
pub(super) fn limits(result: &RunResult) -> Vec<String> {
    let ends = [
        (
            result.denied,
            "the kernel killed it for a system call that only a program of another architecture makes (SIGSYS): \
             32-bit programs do not run in a sandbox",
        ),
        (result.timeout, "its wall time was used up ([limits].wall_time)"),
        (result.cpu_limit, "its CPU time was used up ([limits].cpu_time)"),
        (
            result.output_limit,
            "its output was cut off: it reached [limits].output, or its file accepted no more",
        ),
        (
            result.oom && result.oom_group == Some(true),
            "it ran out of memory ([limits].memory), and the kernel killed all of it",
        ),
        (
            result.oom && result.oom_group != Some(true),
            "it ran out of memory ([limits].memory), and the kernel killed it or what used most of it",
        ),
    ];
    let ends = ends.into_iter().filter(|(holds, _)| *holds).map(|(_, what)| what.to_owned());
    let refused = result
        .processes_refused
        .filter(|refused| *refused > 0)
        .map(|refused| format!("{refused} times no process could be started ([limits].processes)"));
    ends.chain(refused).collect()
}

fn many(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Model;
    use std::collections::BTreeMap;

    #[test]
    fn what_was_used_is_said_and_what_was_not_is_not() {
        let mut used = UsedUp {
            tokens: 126,
            tokens_limit: None,
            cost: None,
            cost_limit: None,
            bytes: 4000,
            bytes_limit: None,
            models: BTreeMap::new(),
        };
        assert_eq!(words("x-1", &used), "");
        let model = Model {
            calls: 3,
            estimated: 1,
            input_tokens: 90,
            cached_tokens: 10,
            output_tokens: 36,
            cost: Some("0.02".to_owned()),
            ..Model::default()
        };
        used.models.insert("small-1".to_owned(), model);
        (used.tokens_limit, used.cost, used.cost_limit) =
            (Some(100), Some("0.02".to_owned()), Some("1".to_owned()));
        assert_eq!(
            words("x-1", &used),
            "sandboxd: x-1: used: small-1: 90 tokens in, 36 out, 3 calls (10 from a cache), cost 0.02, \
             at the highest price: no price names it; estimated for 1 call: the API did not say\n\
             sandboxd: x-1: used of the budget: 126 of 100 tokens, a cost of 0.02 of 1\n"
        );
        for number in 0..SAID {
            used.models.insert(format!("m{number}"), Model::default());
        }
        assert!(words("x-1", &used).contains("used: 1 model more (see --json)"));
    }
}
