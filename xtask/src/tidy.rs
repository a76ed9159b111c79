//! `cargo xtask tidy`: what can be counted is counted.
//!
//! Each rule is a file of this folder and yields findings. A finding that is right as it is stands
//! in `xtask/tidy-exceptions.txt` with its reason; an exception that nothing needs any more is an
//! error, so the list does not outlive its causes.

mod exceptions;
mod names;
mod promises;
mod roots;
mod safety;
pub(crate) mod sizes;
mod stages;
mod text;
mod tried;
mod units;

use crate::tree::Tree;
use anyhow::{Result, ensure};
use exceptions::Exceptions;

/// Something that a rule does not allow.
struct Finding {
    /// The rule's name, first word of an exception.
    rule: &'static str,
    /// The file, and after a colon the function where the rule is about one; second word of an
    /// exception.
    subject: String,
    /// What is wrong and what to do.
    what: String,
}

impl Finding {
    fn new(rule: &'static str, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { rule, subject: subject.into(), what: what.into() }
    }
}

pub(crate) fn run(tree: &Tree) -> Result<()> {
    let files = tree.files()?;
    let mut found = Vec::new();
    names::check(&files, &mut found);
    for file in &files {
        // What is not text (a picture, a packed fixture) has no lines to judge.
        let Ok(text) = std::fs::read_to_string(tree.root.join(file)) else { continue };
        if text.contains('\0') {
            continue;
        }
        text::check(tree, file, &text, &mut found);
        units::check(file, &text, &mut found);
        if file.ends_with(".rs") {
            sizes::check(file, &text, &mut found);
            safety::check(file, &text, &mut found);
        }
    }
    roots::check(tree, &mut found)?;
    promises::check(tree, &files, &mut found)?;
    tried::check(tree, &files, &mut found)?;
    stages::check(tree, &mut found)?;

    let mut exceptions = Exceptions::read(tree)?;
    found.retain(|finding| !exceptions.excuse(finding));
    found.extend(exceptions.unused());
    for Finding { rule, subject, what } in &found {
        eprintln!("tidy: {rule} {subject}: {what}");
    }
    ensure!(found.is_empty(), "{} findings", found.len());
    println!("{} files are tidy", files.len());
    Ok(())
}
