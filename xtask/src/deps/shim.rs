//! The crates linked into the shim are those of a list, no more and no fewer.

use crate::{process, tree::Tree};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;

/// The list: a name per line, `#` begins a comment.
pub(crate) const LIST: &str = "xtask/shim-crates.txt";

/// Compares, and returns how many third-party crates there are.
pub(crate) fn check(tree: &Tree) -> Result<usize> {
    let text = tree.read(LIST)?;
    let listed: BTreeSet<&str> = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|name| !name.is_empty())
        .collect();
    // Normal dependencies without macros: what the linker sees.
    let shown = process::output(process::cargo(&tree.root).args([
        "tree",
        "--locked",
        "--package=sandboxd-shim",
        "--edges=normal,no-proc-macro",
        "--prefix=none",
        "--format={p}",
        "--target",
        process::TARGET,
    ]))?;
    let linked: BTreeSet<&str> = shown
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !name.starts_with("sandboxd-"))
        .collect();
    let more: Vec<_> = linked.difference(&listed).copied().collect();
    ensure!(more.is_empty(), "the shim links {}, not in {LIST}", more.join(", "));
    let fewer: Vec<_> = listed.difference(&linked).copied().collect();
    ensure!(fewer.is_empty(), "the shim no longer links {}: remove from {LIST}", fewer.join(", "));
    Ok(linked.len())
}
