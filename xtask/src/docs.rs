//! `cargo xtask docs`: the pages that are made from the source, and what the program prints itself.
//!
//! To add a page, write a function that returns its text and name it in [`pages`].

mod printed;
mod stages;

use crate::tree::Tree;
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use std::{collections::BTreeMap, fs};

/// The folders in which every file is generated.
const FOLDERS: &[&str] = &["docs/reference/", "docs/man/", "docs/completions/"];

/// Text by file name, relative to the root of the tree.
type Pages = BTreeMap<String, String>;

#[derive(Args)]
pub(crate) struct Typed {
    /// Write nothing; fail where a page is out of date
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(tree: &Tree, typed: &Typed) -> Result<()> {
    if typed.check { check(tree) } else { write(tree) }
}

fn pages(tree: &Tree) -> Result<Pages> {
    let mut pages = Pages::new();
    let source = tree.read(stages::SOURCE)?;
    pages.insert("docs/reference/stages.md".into(), stages::stages(&source)?);
    pages.insert("docs/reference/calls.md".into(), stages::calls(&source)?);
    printed::add(tree, &mut pages)?;
    Ok(pages)
}

fn write(tree: &Tree) -> Result<()> {
    let pages = pages(tree)?;
    for name in stale(tree, &pages)? {
        fs::remove_file(tree.root.join(&name))?;
        println!("removed {name}");
    }
    for (name, text) in &pages {
        let path = tree.root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {name}"))?;
    }
    println!("{} pages written", pages.len());
    Ok(())
}

/// Fails where a page differs from what would be written now.
pub(crate) fn check(tree: &Tree) -> Result<()> {
    let pages = pages(tree)?;
    let mut wrong: Vec<String> =
        stale(tree, &pages)?.into_iter().map(|name| format!("{name} is made by nothing")).collect();
    for (name, text) in &pages {
        match tree.read(name) {
            Ok(there) if there == *text => {}
            Ok(_) => wrong.push(format!("{name} is out of date")),
            Err(_) => wrong.push(format!("{name} is missing")),
        }
    }
    for line in &wrong {
        eprintln!("docs: {line}");
    }
    ensure!(wrong.is_empty(), "run `cargo xtask docs` and commit what it writes");
    println!("{} pages are up to date", pages.len());
    Ok(())
}

/// The files of the generated folders that no page stands for any more.
fn stale(tree: &Tree, pages: &Pages) -> Result<Vec<String>> {
    let mut files = tree.files()?;
    files.retain(|file| {
        FOLDERS.iter().any(|folder| file.starts_with(folder)) && !pages.contains_key(file)
    });
    Ok(files)
}
