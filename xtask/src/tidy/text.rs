//! What no text of the tree has: spaces at line ends, carriage returns, paths of one machine.

use super::Finding;
use crate::tree::Tree;
use std::env;

pub(super) fn check(tree: &Tree, file: &str, text: &str, found: &mut Vec<Finding>) {
    for (number, line) in (1..).zip(text.split('\n')) {
        if line.ends_with([' ', '\t', '\r']) && !two_spaces_of_markdown(file, line) {
            found.push(Finding::new("text", file, format!("line {number} ends in white space")));
        }
        for path in machine_paths(tree) {
            if line.contains(&path) {
                found.push(Finding::new("text", file, format!("line {number} names {path}")));
            }
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        found.push(Finding::new("text", file, "the last line has no end"));
    }
}

/// A line break inside a paragraph of Markdown.
fn two_spaces_of_markdown(file: &str, line: &str) -> bool {
    let words = line.trim_end();
    file.ends_with(".md") && !words.is_empty() && line.len() == words.len() + 2
}

/// Paths that mean something on this machine only.
fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut paths = Vec::new();
    // A checkout at the top of the file system has a name that is a word elsewhere, as `/src`.
    if tree.root.components().count() > 2 {
        paths.push(tree.root.display().to_string());
    }
    if let Some(home) = env::var_os("HOME").filter(|home| home != "/") {
        for folder in [".cargo", ".rustup"] {
            paths.push(std::path::Path::new(&home).join(folder).display().to_string());
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_at_line_ends_a_missing_end_and_the_checkout_are_found() {
        let tree = Tree { root: "/some/checkout".into(), target: "/some/target".into() };
        let mut found = Vec::new();
        check(&tree, "a.rs", "fn a() {} \nlet b = \"/some/checkout/b\";", &mut found);
        let whats: Vec<_> = found.into_iter().map(|finding| finding.what).collect();
        assert_eq!(
            whats,
            [
                "line 1 ends in white space",
                "line 2 names /some/checkout",
                "the last line has no end"
            ]
        );
    }

    #[test]
    fn two_spaces_break_a_line_in_markdown_only() {
        assert!(two_spaces_of_markdown("a.md", "word  "));
        assert!(!two_spaces_of_markdown("a.md", "word "));
        assert!(!two_spaces_of_markdown("a.rs", "word  "));
        assert!(!two_spaces_of_markdown("a.md", "  "));
    }
}
