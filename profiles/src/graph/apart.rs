//! What a profile relies on that no other's sandbox may reach: a caller could have its callee's secret read
//! from what it wrote there itself, outside every sandbox.

use super::trees::Trees;
use super::{Graph, Node};
use crate::Problem;
use crate::resolve::kept::{Kept, Needed, needed};
use crate::schema::Instances;
use sandboxd_plan::HostPath;

/// Files of the host that the processes of a profile may use, whoever called them.
pub(super) struct Reached<'g> {
    pub(super) node: &'g Node,
    seen: Trees,
    pub(super) written: Trees,
}

impl<'g> Reached<'g> {
    /// The first is nobody's callee, whoever else calls it; what is started for one caller may do no more than an
    /// edge to it gives.
    fn by(graph: &'g Graph, place: usize, node: &'g Node) -> Self {
        let edges = graph.edges.iter().filter(|edge| edge.callee == place);
        let given: Vec<_> = edges.map(|edge| graph.basis(edge).meet(&node.own)).collect();
        if place == 0 || given.is_empty() || *node.instances() != Instances::PerCaller {
            return Self { node, seen: node.own.read.clone(), written: node.own.write.clone() };
        }
        let (seen, written): (Vec<_>, Vec<_>) =
            given.into_iter().map(|given| (given.read, given.write)).unzip();
        Self { node, seen: Trees::any(&seen), written: Trees::any(&written) }
    }
}

/// All of a graph, held against each other.
pub(super) struct Apart<'g>(Vec<Reached<'g>>);

impl<'g> Apart<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        let nodes = graph.nodes.iter().enumerate();
        Self(nodes.map(|(place, node)| Reached::by(graph, place, node)).collect())
    }

    /// All but this one: what a profile's own sandbox may do is decided with it.
    pub(super) fn others(&self, node: &Node) -> impl Iterator<Item = &Reached<'g>> {
        self.0.iter().filter(move |other| other.node.name != node.name)
    }

    /// What secrets are read from, where it is as `path` says.
    pub(super) fn secrets(
        &self,
        path: impl Fn(&Needed, &Node) -> Option<HostPath>,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for Reached { node, .. } in &self.0 {
            let secrets = node.profile.secrets.values();
            for needed in secrets.flat_map(|secret| needed(&secret.value)) {
                let Some(path) = path(&needed, node) else { continue };
                for other in self.others(node) {
                    let trees = match needed.kept {
                        Kept::Unwritten => &other.written,
                        Kept::Unseen(_) => &other.seen,
                    };
                    let Some(tree) = trees.around(&path) else { continue };
                    let who = (other.node.name.as_str(), other.node.file.as_str());
                    let (what, remedy) = needed.kept.by_another(who, tree, &path);
                    problems.push(needed.origin.problem(what, remedy));
                }
            }
        }
        problems
    }
}
