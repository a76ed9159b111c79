//! What a person is told of a run's way out: what it was kept from.

use crate::sandbox::Used;
use sandboxd_egress_plan::Verdict;

/// So many refusals are said one by one.
const SAID: usize = 5;

/// A line for each thing that was not let out, most often first.
pub(super) fn words(sandbox: &str, used: &Used) -> String {
    let mut text = String::new();
    for refused in used.refused.iter().take(SAID) {
        let times =
            if refused.times == 1 { String::new() } else { format!(", {} times", refused.times) };
        let (to, why) = (&refused.to, refused.why);
        text += &format!("sandboxd: {sandbox}: not let out: {to}: {why}{times}\n");
    }
    let more: u64 = used.refused.iter().skip(SAID).map(|refused| refused.times).sum();
    let more = more.saturating_add(used.refused_others);
    if more > 0 {
        text += &format!("sandboxd: {sandbox}: not let out: {more} more (see --json)\n");
    }
    if used.refused.iter().any(|refused| refused.why == Verdict::NoRule.text()) {
        text += &format!(
            "sandboxd: {sandbox}: to let one out: --egress HOST:PORT, or network.egress in the profile\n"
        );
    }
    if used.lost > 0 {
        text += &format!(
            "sandboxd: {sandbox}: {} connections or refusals came too fast to be counted\n",
            used.lost
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Refused;

    #[test]
    fn the_first_few_are_named_and_the_rest_counted() {
        assert_eq!(words("x-1", &Used::default()), "");
        let refused = |times: u64| Refused {
            to: format!("h{times}.example:443"),
            why: Verdict::NoRule.text(),
            times,
        };
        let used = Used {
            refused: (1..=7).rev().map(refused).collect(),
            refused_others: 4,
            ..Used::default()
        };
        let text = words("x-1", &used);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 7);
        assert_eq!(
            lines[0],
            "sandboxd: x-1: not let out: h7.example:443: no rule names it, 7 times"
        );
        assert_eq!(lines[5], "sandboxd: x-1: not let out: 7 more (see --json)");
        assert!(lines[6].contains("--egress HOST:PORT"));
    }
}
