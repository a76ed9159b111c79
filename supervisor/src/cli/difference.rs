//! What differs between two texts, line by line.

use similar::{Algorithm, ChangeTag, TextDiff};
use std::time::Duration;

/// Lines that stand around what differs.
const AROUND: usize = 2;
/// How long is looked for the shortest way to tell it. The texts are a tool's own.
const WITHIN: Duration = Duration::from_millis(200);

/// The lines that differ, with a sign before each and some that do not around them.
pub(super) fn lines(old: &str, new: &str) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let difference = TextDiff::configure()
        .algorithm(Algorithm::Lcs)
        .timeout(WITHIN)
        .diff_slices(&before, &after);
    let mut told = Vec::new();
    // How far the old text was told.
    let mut end = 0;
    for group in difference.grouped_ops(AROUND) {
        if group.first().is_some_and(|op| op.old_range().start > end) {
            told.push(String::from("  …"));
        }
        end = group.last().map_or(end, |op| op.old_range().end);
        for change in group.iter().flat_map(|op| difference.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            told.push(format!("{sign} {}", change.value()));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(old: &[&str], new: &[&str]) -> String {
        lines(&old.join("\n"), &new.join("\n")).join("|")
    }

    #[test]
    fn what_differs_is_told_with_what_stands_around_it() {
        let old = ["a", "b", "c", "d", "e", "f", "g", "h"];
        assert_eq!(of(&old, &old), "");
        let new = ["a", "b", "c", "d", "E", "f", "g", "h"];
        assert_eq!(of(&old, &new), "  …|  c|  d|- e|+ E|  f|  g");
        assert_eq!(of(&old, &old[..7]), "  …|  f|  g|- h");
        assert_eq!(of(&old[1..], &old), "+ a|  b|  c");
        assert_eq!(of(&[], &["a"]), "+ a");
        assert_eq!(of(&["a", "x", "b"], &["a", "y", "x", "b"]), "  a|+ y|  x|  b");
        assert_eq!(of(&["a", "b"], &["b", "a"]), "- a|  b|+ a");
    }

    #[test]
    fn texts_of_many_lines_are_told_one_after_the_other() {
        let all = |word: &str| (0..3000).map(|at| format!("{word}{at}\n")).collect::<String>();
        let told = lines(&all("old"), &all("new"));
        assert_eq!(told.len(), 6000);
        assert!(told.iter().take(3000).all(|line| line.starts_with("- old")));
    }
}
