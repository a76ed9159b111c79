//! The crate roots of our own packages.

use super::graph::Graph;
use crate::tree::Tree;
use anyhow::{Context as _, Result};
use std::path::Path;

/// The package and the file, relative to the root of the tree, of everything cargo compiles here.
pub(crate) fn crate_roots(tree: &Tree) -> Result<Vec<(String, String)>> {
    let graph = Graph::read(tree)?;
    let mut roots = Vec::new();
    for package in graph.packages.into_values().filter(|package| package.source.is_none()) {
        for target in package.targets {
            let path = Path::new(&target.src_path)
                .strip_prefix(&tree.root)
                .with_context(|| format!("{} lies outside", target.src_path))?;
            roots.push((package.name.clone(), path.display().to_string()));
        }
    }
    Ok(roots)
}
