//! `cargo xtask deps`: what third-party code there is, and who may use it.
//!
//! The rules are those of `deny.toml`, read from it, so that `cargo deny check` and this task judge
//! by the same words; this one needs nothing installed and takes a second.

mod graph;
mod licences;
mod rules;
pub(crate) mod shim;
pub(crate) mod workspace;

use crate::tree::Tree;
use anyhow::{Result, ensure};
use graph::Graph;
use rules::Rules;
use std::collections::{BTreeMap, BTreeSet};

/// The only place third-party crates come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn run(tree: &Tree) -> Result<()> {
    let rules = Rules::read(tree)?;
    let graph = Graph::read(tree)?;
    let mut wrong = Vec::new();
    homes(&graph, &rules, &mut wrong);
    doubles(&graph, &rules, &mut wrong);
    sources(&graph, &mut wrong);
    licences::judge(&graph, &rules, &mut wrong)?;
    for line in &wrong {
        eprintln!("deps: {line}");
    }
    ensure!(wrong.is_empty(), "{} problems with third-party crates", wrong.len());
    let linked = shim::check(tree)?;
    let third = graph.packages.values().filter(|package| package.source.is_some()).count();
    println!("{third} third-party crates, {linked} of them in the shim");
    Ok(())
}

/// One crate, one home: whoever depends on it directly is named in `deny.toml`.
fn homes(graph: &Graph, rules: &Rules, wrong: &mut Vec<String>) {
    for rule in &rules.bans.deny {
        for package in graph.packages.values().filter(|package| package.name == rule.name) {
            for user in graph.users(&package.id) {
                if !rule.wrappers.contains(&user.name) {
                    wrong.push(format!(
                        "{} uses {}, whose home is {}: {}",
                        user.name,
                        rule.name,
                        rule.wrappers.join(", "),
                        rule.reason
                    ));
                }
            }
        }
    }
}

/// Two versions of a crate are twice the code to trust: each needs a reason.
fn doubles(graph: &Graph, rules: &Rules, wrong: &mut Vec<String>) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in graph.packages.values() {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let mut used = BTreeSet::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let excused: Vec<_> = rules.bans.skip.iter().filter(|skip| skip.name() == *name).collect();
        used.extend(excused.iter().map(|skip| &skip.spec));
        let left = versions.iter().filter(|version| !excused.iter().any(|skip| skip.is(version)));
        if left.count() > 1 {
            let versions: Vec<_> = versions.iter().copied().collect();
            wrong.push(format!(
                "{name} is there in versions {}: make it one, or give the reason in deny.toml [bans] skip",
                versions.join(" and ")
            ));
        }
    }
    for skip in rules.bans.skip.iter().filter(|skip| !used.contains(&skip.spec)) {
        wrong.push(format!("deny.toml skips {:?}, which is no double: remove it", skip.spec));
    }
}

fn sources(graph: &Graph, wrong: &mut Vec<String>) {
    for package in graph.packages.values() {
        match package.source.as_deref() {
            None | Some(REGISTRY) => {}
            Some(other) => wrong
                .push(format!("{} comes from {other}; only crates.io is allowed", package.name)),
        }
    }
}
