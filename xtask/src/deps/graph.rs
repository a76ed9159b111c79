//! Which package depends on which, as `cargo metadata` has it for our target, without what only
//! tests use.

use crate::{process, tree::Tree};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The resolved packages, by id.
pub(crate) struct Graph {
    pub(crate) packages: BTreeMap<String, Package>,
    nodes: Vec<Node>,
}

/// One version of a crate.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// Nothing for a package of this workspace.
    pub(crate) source: Option<String>,
    pub(crate) targets: Vec<Target>,
}

/// Something that cargo compiles.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) src_path: String,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_members: Vec<String>,
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    /// `dev`, `build`, or nothing for a normal dependency.
    kind: Option<String>,
}

impl Edge {
    fn is_for_tests_only(&self) -> bool {
        self.dep_kinds.iter().all(|edge| edge.kind.as_deref() == Some("dev"))
    }
}

impl Graph {
    pub(crate) fn read(tree: &Tree) -> Result<Self> {
        let json = process::output(process::cargo(&tree.root).args([
            "metadata",
            "--locked",
            "--format-version=1",
            "--filter-platform",
            process::TARGET,
        ]))?;
        let Metadata { workspace_members, packages, resolve: Resolve { mut nodes } } =
            serde_json::from_str(&json).context("cargo metadata")?;
        for node in &mut nodes {
            node.deps.retain(|edge| !edge.is_for_tests_only());
        }
        let reached = reached(&nodes, workspace_members);
        let packages = packages
            .into_iter()
            .filter(|package| reached.contains(&package.id))
            .map(|package| (package.id.clone(), package))
            .collect();
        Ok(Self { packages, nodes })
    }

    /// The packages that depend on this one directly.
    pub(crate) fn users<'graph>(
        &'graph self,
        id: &'graph str,
    ) -> impl Iterator<Item = &'graph Package> {
        self.nodes
            .iter()
            .filter(move |node| node.deps.iter().any(|edge| edge.pkg == id))
            .filter_map(|node| self.packages.get(&node.id))
    }
}

/// These packages, those they depend on, and so on.
fn reached(nodes: &[Node], from: Vec<String>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = from;
    while let Some(id) = open.pop() {
        if let Some(node) = nodes.iter().find(|node| node.id == id) {
            open.extend(
                node.deps.iter().map(|edge| edge.pkg.clone()).filter(|id| !reached.contains(id)),
            );
        }
        reached.insert(id);
    }
    reached
}
