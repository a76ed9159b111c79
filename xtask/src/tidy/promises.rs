//! Every promise of SECURITY.md names a case that proves it, and every case it names is there.
//!
//! A promise is an item of the numbered lists of SECURITY.md; a case is a file of
//! `integration/cases`, named by its path or by its bare name between backquotes. A sentence for a name
//! anywhere in SECURITY.md or the book is one of a case or of a test that is there.

use super::Finding;
use crate::tree::Tree;
use anyhow::Result;
use std::collections::BTreeSet;

pub(super) const PAGE: &str = "SECURITY.md";
pub(super) const CASES: &str = "integration/cases/";
const BOOK: &str = "docs/book/";

pub(super) fn check(tree: &Tree, files: &[String], found: &mut Vec<Finding>) -> Result<()> {
    if !files.iter().any(|file| file == PAGE) {
        found.push(Finding::new("promises", PAGE, "it is not there"));
        return Ok(());
    }
    let cases: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.strip_prefix(CASES)?.strip_suffix(".rs"))
        .filter_map(|path| path.split('/').next_back())
        .collect();
    judge(&tree.read(PAGE)?, &cases, found);
    let tests = tests(tree, files)?;
    for page in files.iter().filter(|file| *file == PAGE || file.starts_with(BOOK)) {
        for name in sentences(&tree.read(page)?) {
            if !cases.contains(name.as_str()) && !tests.contains(&name) {
                let what = format!("it names {name}, which is neither a case nor a test");
                found.push(Finding::new("promises", page.clone(), what));
            }
        }
    }
    Ok(())
}

/// The functions whose names are sentences.
fn tests(tree: &Tree, files: &[String]) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let text = tree.read(file)?;
        let named = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
        let named = named.filter_map(|rest| rest.split('(').next());
        names.extend(named.filter(|name| is_sentence(name)).map(str::to_owned));
    }
    Ok(names)
}

/// What stands between backquotes and reads like the name of a case.
fn sentences(page: &str) -> BTreeSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|word| is_sentence(word)).map(str::to_owned).collect()
}

/// Metrics have names of the same shape.
fn is_sentence(word: &str) -> bool {
    !word.starts_with("sandboxd_")
        && word.bytes().filter(|byte| *byte == b'_').count() >= 3
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn judge(page: &str, cases: &BTreeSet<&str>, found: &mut Vec<Finding>) {
    let items = items(page);
    if items.is_empty() {
        found.push(Finding::new("promises", PAGE, "it has no numbered promise"));
    }
    for item in items {
        let quoted: Vec<&str> = item.split('`').skip(1).step_by(2).collect();
        let number = item.split('.').next().unwrap_or_default();
        for path in quoted.iter().filter(|word| word.starts_with(CASES)) {
            let name = path.strip_suffix(".rs").and_then(|path| path.split('/').next_back());
            if !name.is_some_and(|name| cases.contains(name)) {
                found.push(Finding::new(
                    "promises",
                    PAGE,
                    format!("promise {number} names {path}, which is not there"),
                ));
            }
        }
        let proved = quoted.iter().any(|word| {
            let name = word.strip_suffix(".rs").unwrap_or(word);
            cases.contains(name.split('/').next_back().unwrap_or(name))
        });
        if !proved {
            found.push(Finding::new("promises", PAGE, format!("promise {number} names no case")));
        }
    }
}

/// The items of the numbered lists, each with the lines that belong to it.
pub(super) fn items(page: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let starts = line.split_once(". ").is_some_and(|(number, _)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if starts {
            items.push(line.to_owned());
            inside = true;
        } else if !line.is_empty() && !line.starts_with(' ') {
            inside = false;
        } else if inside && let Some(last) = items.last_mut() {
            last.push('\n');
            last.push_str(line);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_without_a_case_and_a_case_that_is_not_there_are_found() {
        let page = "\
# Promises
1. Kept by `a_path_is_hidden`.
2. Kept by
   `integration/cases/files/a_path_is_hidden.rs`.
3. Kept by nothing, says `sandboxd`.
4. Kept by `integration/cases/gone.rs` and `a_path_is_hidden`.

Not an item `gone`.
";
        let mut found = Vec::new();
        judge(page, &BTreeSet::from(["a_path_is_hidden"]), &mut found);
        let whats: Vec<_> = found.into_iter().map(|finding| finding.what).collect();
        assert_eq!(
            whats,
            [
                "promise 3 names no case",
                "promise 4 names integration/cases/gone.rs, which is not there"
            ]
        );
    }

    #[test]
    fn sentences_are_found_between_backquotes_alone() {
        let page = "Tried by `a_path_is_hidden` and `nothing_at_all`, not by a_path_that_is_gone or `vm.memfd_noexec`.";
        assert_eq!(sentences(page), BTreeSet::from(["a_path_is_hidden".to_owned()]));
    }
}
