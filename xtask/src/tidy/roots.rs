//! Every crate root forbids unsafe code, but for the packages that are there to hold it.

use super::Finding;
use crate::{deps::workspace, tree::Tree};
use anyhow::Result;

/// Packages that hold unsafe code, by purpose.
const UNSAFE: &[&str] = &["sandboxd-kernel", "sandboxd-start"];
/// Packages that have an entry point written by a macro of `sandboxd-start`; forbid would refuse what
/// the macro allows.
const ENTRY: &[&str] = &["sandboxd-shim"];

pub(super) fn check(tree: &Tree, found: &mut Vec<Finding>) -> Result<()> {
    for (package, root) in workspace::crate_roots(tree)? {
        if UNSAFE.contains(&package.as_str()) {
            continue;
        }
        let word = if ENTRY.contains(&package.as_str()) { "deny" } else { "forbid" };
        let header = format!("#![{word}(unsafe_code)]");
        if !tree.read(&root)?.lines().any(|line| line == header) {
            found.push(Finding::new("roots", root, format!("write {header} below its doc")));
        }
    }
    Ok(())
}
