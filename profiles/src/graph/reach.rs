//! Who can reach what, through whom, and with which authority.
//!
//! A chain carries the meet of all its edges: what each grants, or where it grants nothing, what its
//! caller may do itself. A process of one caller is under that and its own profile. A process that
//! several share is under its own profile alone, and what it calls in turn is called under the meet;
//! one that acts by its own right begins a chain of its own.

use super::authority::Authority;
use super::{Edge, Graph, HOPS};
use crate::schema::Instances;
use sandboxd_plan::HostPath;
use serde::Serialize;

/// Ways that are looked at before the answer says that there are more.
const MOST_WAYS: usize = 1000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A profile of the graph, by its name.
    Profile(String),
    /// Anybody over the network.
    Network,
    /// A path of the host.
    Path(HostPath),
}

/// Every way from one profile to what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Who.
    pub from: String,
    /// What.
    pub to: String,
    /// How; without one it cannot be reached.
    pub ways: Vec<Way>,
    /// Whether there are more ways than were looked at.
    pub cut_short: bool,
}

/// One way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The calls, first to last; none where the profile itself does it.
    pub calls: Vec<Step>,
    /// What can be done at its end: `read`, `write`, `execute`, `network`.
    pub may: Vec<String>,
    /// Where only parts of a tree are reached: these.
    pub parts: Vec<String>,
}

/// One call of a way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who calls.
    pub caller: String,
    /// What it calls it.
    pub edge: String,
    /// Who is called.
    pub callee: String,
    /// Where the edge is written.
    pub at: String,
    /// What may be called.
    pub may_call: Vec<String>,
    /// On whose authority.
    pub authority: String,
    /// Whose calls the process sees.
    pub instances: &'static str,
}

/// What is carried along a chain.
#[derive(Clone)]
struct Carried<'g> {
    way: Vec<&'g Edge>,
    /// The meet of the edges so far; nothing before the first.
    bases: Option<Authority>,
    /// What the process at the end may do.
    process: Authority,
}

impl Graph {
    /// Every way from a profile to a target; nothing where there is no such profile.
    #[must_use]
    pub fn ways(&self, from: &str, to: &Target) -> Option<Answer> {
        let start = self.find(from)?;
        let target = match to {
            Target::Profile(name) => Some(self.find(name)?),
            Target::Network | Target::Path(_) => None,
        };
        let own = self.node(start).own.clone();
        let mut queue = vec![Carried { way: Vec::new(), bases: None, process: own }];
        let mut ways = Vec::new();
        let mut next = 0;
        while let Some(carried) = queue.get(next).cloned() {
            next += 1;
            let at = carried.way.last().map_or(start, |edge| edge.callee);
            let (may, parts) = match to {
                Target::Profile(_) => (rights(&carried.process), Vec::new()),
                Target::Network => (network(&carried.process), Vec::new()),
                Target::Path(path) => on(&carried.process, path),
            };
            let there = match target {
                Some(target) => target == at && !carried.way.is_empty(),
                None => !may.is_empty(),
            };
            if there {
                let calls = carried.way.iter().map(|edge| self.step(edge)).collect();
                ways.push(Way { calls, may, parts });
            }
            if carried.way.len() < HOPS && queue.len() < MOST_WAYS {
                queue.extend(self.from(at).filter_map(|edge| self.carry(&carried, start, edge)));
            }
        }
        let to = match to {
            Target::Profile(name) => name.clone(),
            Target::Network => "net".to_owned(),
            Target::Path(path) => path.as_str().to_owned(),
        };
        let cut_short = queue.len() >= MOST_WAYS;
        Some(Answer { from: from.to_owned(), to, ways, cut_short })
    }

    /// A chain with one more call; nothing where that leads to who is in it already, and may do no more there.
    fn carry<'g>(
        &'g self,
        before: &Carried<'g>,
        start: usize,
        edge: &'g Edge,
    ) -> Option<Carried<'g>> {
        if self.visited(&before.way, edge.callee)
            || edge.callee == start
            || self.reach(edge).is_empty()
        {
            return None;
        }
        let callee = self.node(edge.callee);
        let basis = self.basis(edge);
        let bases = before.bases.as_ref().map_or_else(|| basis.clone(), |known| known.meet(&basis));
        let (bases, process) = match callee.instances() {
            Instances::PerCaller => (Some(bases.clone()), bases.meet(&callee.own)),
            Instances::Serial | Instances::Attenuate => (Some(bases), callee.own.clone()),
            Instances::Own(_) => (None, callee.own.clone()),
        };
        let way = before.way.iter().copied().chain([edge]).collect();
        Some(Carried { way, bases, process })
    }

    /// Whether a process was in the chain with all that it could have now: by its own right, or since somebody last acted
    /// by that, from where on the chain is another.
    fn visited(&self, way: &[&Edge], place: usize) -> bool {
        let own = |place: usize| matches!(self.node(place).instances(), Instances::Own(_));
        let since = way.iter().rev().take_while(|known| own(place) || !own(known.callee));
        since.into_iter().any(|known| known.callee == place)
    }

    fn step(&self, edge: &Edge) -> Step {
        let callee = self.node(edge.callee);
        let caller = self.node(edge.caller);
        let reach = self.reach(edge);
        let names = reach.iter().flat_map(|(key, list)| {
            list.iter().map(move |one| match *key {
                "tools" => one.as_str().to_owned(),
                key => format!("{} {one}", key.trim_end_matches('s')),
            })
        });
        let authority = match (callee.instances(), &edge.call.grant) {
            (Instances::Own(reason), _) => format!("{}'s own: {reason}", callee.name),
            (_, Some(grant)) => format!("the grant at {}", place(&grant.origin)),
            (_, None) => format!("{}'s own", caller.name),
        };
        Step {
            caller: caller.name.to_string(),
            edge: edge.name.to_string(),
            callee: callee.name.to_string(),
            at: place(&edge.origin),
            may_call: names.collect(),
            authority,
            instances: callee.instances().name(),
        }
    }
}

/// `file:line`.
pub(super) fn place(origin: &crate::Origin) -> String {
    match origin.at {
        Some((line, _)) => format!("{}:{line}", origin.file),
        None => origin.file.to_string(),
    }
}

fn network(authority: &Authority) -> Vec<String> {
    authority.network.words().iter().map(|out| format!("network {out}")).collect()
}

/// All that can be done, tree by tree.
fn rights(authority: &Authority) -> Vec<String> {
    let mut rights = Vec::new();
    for (right, trees) in authority.rights() {
        rights.extend(trees.tops().map(|top| format!("{right} {top}")));
        let inside = trees.holes().map(|hole| format!("{right} {hole}: not"));
        rights.extend(inside);
    }
    rights.extend(network(authority));
    rights
}

/// What can be done with a path, and with which parts where not with the whole.
fn on(authority: &Authority, path: &HostPath) -> (Vec<String>, Vec<String>) {
    let (mut may, mut parts) = (Vec::new(), Vec::new());
    for (right, trees) in authority.rights() {
        if trees.has(path) {
            may.push(right.to_owned());
            continue;
        }
        let below = trees.below(path);
        if !below.is_empty() {
            may.push(right.to_owned());
            parts.extend(below.iter().map(|part| format!("{right} {part}")));
        }
    }
    (may, parts)
}
