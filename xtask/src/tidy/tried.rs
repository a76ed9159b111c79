//! What SECURITY.md and the cases say of attacks that are tried is the same: what a promise says is tried, one of the
//! cases that it names has as a row; and each row of a case stands in a promise that names it.

use super::{
    Finding,
    promises::{CASES, PAGE, items},
};
use crate::tree::Tree;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// The attacks of each case.
type Rows = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(tree: &Tree, files: &[String], found: &mut Vec<Finding>) -> Result<()> {
    let mut all = Rows::new();
    for file in files {
        let Some(name) = file.strip_prefix(CASES).and_then(|name| name.strip_suffix(".rs")) else {
            continue;
        };
        all.insert(name.to_owned(), rows(&tree.read(file)?));
    }
    judge(&tree.read(PAGE)?, &all, found);
    Ok(())
}

fn judge(page: &str, all: &Rows, found: &mut Vec<Finding>) {
    let mut left = all.clone();
    for item in items(page) {
        let number = item.split('.').next().unwrap_or_default();
        let cases: Vec<&str> = item.split('`').skip(1).step_by(2).collect();
        let tried = tried(&item);
        for attack in &tried {
            let rows = cases.iter().filter_map(|case| all.get(*case));
            if !rows.into_iter().any(|rows| rows.contains(attack)) {
                let what =
                    format!("promise {number} says {attack} is tried; no case of it has that row");
                found.push(Finding::new("tried", PAGE, what));
            }
        }
        for case in cases {
            if let Some(rows) = left.get_mut(case) {
                rows.retain(|row| !tried.contains(row));
            }
        }
    }
    for (case, rows) in left {
        for row in rows {
            let what = format!("no promise that names it says that {row} is tried");
            found.push(Finding::new("tried", format!("{CASES}{case}.rs"), what));
        }
    }
}

/// What stands between `rows: &[` and its end.
fn rows(case: &str) -> BTreeSet<String> {
    let list = case.split_once("rows: &[").and_then(|(_, rest)| rest.split_once(']'));
    let list = list.map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `F01–F03, E6` after each `Tried:` of a promise, one by one.
fn tried(item: &str) -> BTreeSet<String> {
    let lists = item.split("Tried:").skip(1).filter_map(|rest| rest.split('.').next());
    lists.flat_map(|list| list.split(',')).flat_map(|words| range(words.trim())).collect()
}

fn range(words: &str) -> Vec<String> {
    let Some((first, last)) = words.split_once('–') else { return vec![words.to_owned()] };
    let number = |word: &str| word.get(1..).and_then(|digits| digits.parse::<u32>().ok());
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return vec![words.to_owned()];
    };
    let width = first.len().saturating_sub(1);
    let letter = first.get(..1).unwrap_or_default();
    (from..=to).map(|number| format!("{letter}{number:0width$}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_and_what_is_tried_are_held_against_each_other() {
        let page = "\
# Promises
1. Kept. Answers A4. Tried: F09–F11,
   E6. Cases: `a`, `b`.
2. Kept. Tried: F12. Case: `b`.
";
        let case = |text: &str| rows(&format!("Case {{ rows: &[{text}], ..Case::NEW }}"));
        let all = Rows::from([
            ("a".to_owned(), case("\"F09\", \"F10\", \"F12\"")),
            ("b".to_owned(), case("\n    \"F11\",\n    \"F12\",\n")),
            ("c".to_owned(), case("\"F10\"")),
        ]);
        let mut found = Vec::new();
        judge(page, &all, &mut found);
        let found: Vec<_> = found.into_iter().map(|one| (one.subject, one.what)).collect();
        let unsaid = |case: &str, row: &str| {
            let what = format!("no promise that names it says that {row} is tried");
            (format!("integration/cases/{case}.rs"), what)
        };
        assert_eq!(
            found,
            [
                (
                    PAGE.to_owned(),
                    "promise 1 says E6 is tried; no case of it has that row".to_owned()
                ),
                unsaid("a", "F12"),
                unsaid("c", "F10"),
            ]
        );
    }
}
