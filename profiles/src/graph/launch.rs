//! What a process that is called is started under.
//!
//! The same law as in [`reach`](super::reach): a process of one caller is under what every edge of its
//! chain gives, and its own profile; one that several share is under its own profile alone, and what it
//! calls in turn is under the edges of every way that leads to it; one that acts by its own right begins
//! a chain of its own.

use super::{Edge, Graph};
use crate::meet::words::limits;
use crate::schema::{EdgeGrant, Instances, Mode, Profile};
use std::collections::BTreeSet;

/// Who a process is in the graph, and under which edges what it calls is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    place: usize,
    edges: BTreeSet<usize>,
    hops: usize,
}

impl Standing {
    /// How many calls led here.
    #[must_use]
    pub const fn hops(&self) -> usize {
        self.hops
    }
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// What it runs as.
    pub profile: Profile,
    /// What it is run under, the outermost first.
    pub under: Vec<Profile>,
    /// Who it is then.
    pub standing: Standing,
    /// Whether it is for whoever calls, and not for one connection.
    pub shared: bool,
}

impl Graph {
    /// The first profile of the graph, which nobody called.
    #[must_use]
    pub const fn first(&self) -> Standing {
        Standing { place: 0, edges: BTreeSet::new(), hops: 0 }
    }

    /// Whether anybody in it is let out to chosen hosts, which takes a process more.
    #[must_use]
    pub fn goes_out(&self) -> bool {
        self.nodes.iter().any(|node| node.profile.network.mode() == Mode::Egress)
    }

    /// The name that a process goes by.
    #[must_use]
    pub fn name(&self, standing: &Standing) -> &str {
        self.node(standing.place).name.as_str()
    }

    /// How many instances are kept ready for this process along each of its edges, by their places in the
    /// plan.
    pub fn kept_ready(&self, caller: &Standing) -> impl Iterator<Item = (usize, usize)> {
        let of = |(place, edge): (usize, &Edge)| (place, edge.ready());
        let own = self.edges.iter().enumerate().filter(|(_, edge)| edge.caller == caller.place);
        own.map(of).filter(|(_, ready)| *ready > 0)
    }

    /// The edges that are for a time, by their places in the plan, and how many milliseconds after the start of the
    /// run that is over.
    pub fn expires(&self) -> impl Iterator<Item = (usize, u64)> {
        let all = self.edges.iter().enumerate();
        all.filter_map(|(place, edge)| Some((place, edge.call.expires.as_ref()?.value)))
    }

    /// What is started where this process calls over an edge, by its place in the plan; nothing where
    /// the edge is not its own.
    #[must_use]
    pub fn launch(&self, caller: &Standing, edge: usize) -> Option<Launch> {
        let taken = self.edges.get(edge).filter(|edge| edge.caller == caller.place)?;
        let callee = self.node(taken.callee);
        let edges = match callee.instances() {
            Instances::PerCaller => {
                let mut edges = caller.edges.clone();
                edges.insert(edge);
                edges
            }
            Instances::Serial | Instances::Attenuate => self.leading_to(taken.callee),
            Instances::Own(_) => BTreeSet::new(),
        };
        let under = match callee.instances() {
            Instances::PerCaller => edges.iter().filter_map(|edge| self.given(*edge)).collect(),
            Instances::Serial | Instances::Attenuate | Instances::Own(_) => Vec::new(),
        };
        let standing = Standing { place: taken.callee, edges, hops: caller.hops + 1 };
        let shared = !matches!(callee.instances(), Instances::PerCaller);
        let mut profile = callee.profile.clone();
        // It lies in a cgroup of its caller's, or where it is for several, of the first of all.
        let above = if shared { self.first().place } else { caller.place };
        limits(&mut profile.limits, &self.node(above).profile);
        Some(Launch { profile, under, standing, shared })
    }

    /// Everything that can be started, once under the same edges: what the first profile calls, what that calls,
    /// and so on.
    #[must_use]
    pub fn launches(&self) -> Vec<Launch> {
        let (mut found, mut callers): (Vec<Launch>, Vec<Standing>) =
            (Vec::new(), vec![self.first()]);
        while let Some(caller) = callers.pop() {
            for launch in (0..self.edges.len()).filter_map(|edge| self.launch(&caller, edge)) {
                let Standing { place, edges, .. } = &launch.standing;
                let is_it = |known: &Launch| {
                    known.standing.place == *place && known.standing.edges == *edges
                };
                if !found.iter().any(is_it) {
                    callers.push(launch.standing.clone());
                    found.push(launch);
                }
            }
        }
        found
    }

    /// Every edge of every way from the first profile to this one, from where a process on it last
    /// acted by its own right.
    fn leading_to(&self, place: usize) -> BTreeSet<usize> {
        let (mut edges, mut places) = (BTreeSet::new(), vec![place]);
        while let Some(place) = places.pop() {
            for (number, edge) in self.edges.iter().enumerate() {
                let own = matches!(self.node(edge.caller).instances(), Instances::Own(_));
                if edge.callee == place && edges.insert(number) && !own {
                    places.push(edge.caller);
                }
            }
        }
        edges
    }

    /// What an edge lets be done on its caller's behalf, as a profile to run under.
    fn given(&self, edge: usize) -> Option<Profile> {
        let edge = self.edges.get(edge)?;
        let caller = self.node(edge.caller);
        let mut given = match &edge.call.grant {
            Some(grant) => self.granted(edge, &grant.value),
            None => caller.profile.clone(),
        };
        // What is used on its caller's behalf, its caller uses.
        given.budget.of = Some(caller.name.as_str().to_owned());
        Some(given)
    }

    /// A grant says which files and which network. How much is used is the caller's too; what is asked of
    /// the kernel, and as whom, is left to the callee's profile.
    fn granted(&self, edge: &Edge, grant: &EdgeGrant) -> Profile {
        let caller = self.node(edge.caller);
        let mut profile = self.node(edge.callee).profile.clone();
        let name = format!("{}-{}", caller.name.as_str(), edge.name.as_str());
        if let Some(written) = &mut profile.name {
            written.value = name;
        }
        profile.files.grants.clone_from(&grant.files);
        profile.files.bind.clear();
        profile.files.hide.clear();
        profile.network = grant.network.clone();
        profile.budget = caller.profile.budget.clone();
        // It lies in its caller's cgroup, and could not use more.
        profile.limits = caller.profile.limits.clone();
        profile.calls.clear();
        profile.serve = None;
        profile.folders = caller.profile.folders.clone();
        profile.documents = caller.profile.documents.clone();
        profile
    }
}
