//! Files and functions stay short enough to be read in one go.
//!
//! rustfmt runs first, so a block ends at the first `}` with the indentation of its first line, and
//! no parser is needed to find it.

use super::Finding;

/// Lines of a file that are not tests.
const FILE: usize = 400;
/// Lines of a function, from its signature to its last brace.
const FUNCTION: usize = 60;

pub(super) fn check(file: &str, text: &str, found: &mut Vec<Finding>) {
    if is_test(file) {
        return;
    }
    let lines = without_tests(text);
    if lines.len() > FILE {
        found.push(Finding::new(
            "file",
            file,
            format!(
                "{} lines without tests; {FILE} are the measure: split it by mechanism",
                lines.len()
            ),
        ));
    }
    for (name, count) in functions(&lines).into_iter().filter(|(_, count)| *count > FUNCTION) {
        found.push(Finding::new(
            "fn",
            format!("{file}:{name}"),
            format!("{count} lines; {FUNCTION} are the measure"),
        ));
    }
}

/// Whether all of a file is tests.
pub(crate) fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs")
}

/// How many lines of a file are code: neither tests, nor comments, nor blank.
pub(crate) fn code_lines(text: &str) -> usize {
    let lines = without_tests(text);
    lines
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

/// The lines outside `#[cfg(test)] mod … { … }`.
fn without_tests(text: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push(line);
            continue;
        }
        let end = closing(line);
        for line in lines.by_ref() {
            let item = line.trim_start();
            // `mod tests;` or a `use` has no block; attributes may stand between.
            if line == end || (item.ends_with(';') && indentation(line) == indentation(&end)) {
                break;
            }
        }
    }
    kept
}

/// Each function with a body, and its lines.
fn functions<'text>(lines: &[&'text str]) -> Vec<(&'text str, usize)> {
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let end = closing(line);
        let rest = lines.get(at..).unwrap_or_default();
        // A signature without a body, or a body on the same line, ends where it begins.
        let signature = rest.iter().position(|line| line.ends_with(['{', '}', ';'])).unwrap_or(0);
        if rest.get(signature).is_some_and(|line| line.ends_with('{'))
            && let Some(last) = rest.iter().position(|line| *line == end)
        {
            all.push((name, last + 1));
        }
    }
    all
}

/// The name of the function whose signature begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(name) = rest.strip_prefix("fn ") {
            let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
            return name.get(..end);
        }
        rest =
            ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "]
                .iter()
                .find_map(|word| rest.strip_prefix(word))?;
    }
}

fn indentation(line: &str) -> &str {
    line.get(..line.len() - line.trim_start().len()).unwrap_or_default()
}

/// The line that ends the block that begins on this one.
fn closing(line: &str) -> String {
    format!("{}}}", indentation(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
#[cfg(test)]
use a::b;

impl A {
    pub(crate) const unsafe fn long(
        a: u8,
    ) -> u8 {
        if a {
        }
    }
    fn declared(&self);
    fn short() {}
}

#[cfg(test)]
#[expect(a)]
mod tests {
    fn of_a_test() {
    }
}
fn last() {
}
";

    #[test]
    fn tests_do_not_count() {
        let lines = without_tests(TEXT);
        assert!(!lines.iter().any(|line| line.contains("of_a_test") || line.contains("a::b")));
        assert_eq!(lines.last(), Some(&"}"));
        assert_eq!(lines.len(), 14);
        assert_eq!(code_lines("//! a\n\nfn a() {\n    // b\n    c(); // d\n}\n"), 3);
    }

    #[test]
    fn a_function_counts_from_its_signature_to_its_last_brace() {
        assert_eq!(functions(&without_tests(TEXT)), [("long", 6), ("last", 2)]);
    }

    #[test]
    fn one_line_more_than_the_measure_is_a_finding() {
        let body = "    a();\n".repeat(FUNCTION - 1);
        let mut found = Vec::new();
        let text = format!("fn a() {{\n{body}}}\n");
        check("profiles/tests/a.rs", &text, &mut found);
        check("a.rs", &text, &mut found);
        let subjects: Vec<_> = found.into_iter().map(|finding| finding.subject).collect();
        assert_eq!(subjects, ["a.rs:a"]);
    }
}
