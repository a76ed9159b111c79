//! The call graph: who may call whom, and what may be done on whose behalf.
//!
//! It is made of a profile and those it calls, or of all the profiles of a folder, and is checked as
//! a whole: [`load`] reads, [`check`] and [`cycles`] judge, and [`apart`] holds each against all others, with [`programs`].
//! [`authority`] says what a profile or an edge lets be done, as [`trees`] of what is [`shown`]; [`patterns`] are names of what is called. On it rest [`reach`] (who can
//! reach what, through whom), [`diff`] (what widened) and [`draw`] (text, DOT and JSON), [`plan`] (what the broker is told) and
//! [`launch`] (what a process is started under).

mod apart;
mod authority;
mod check;
mod cycles;
mod diff;
mod draw;
mod launch;
mod limits;
mod load;
pub(crate) mod patterns;
mod placed;
mod plan;
mod programs;
mod reach;
mod shown;
mod trees;
mod why;

use crate::Problem;
use crate::origin::Origin;
use crate::schema::{Call, Instances, Profile};
use authority::Authority;
use sandboxd_broker_plan::{Name, Pattern};
use sandboxd_plan::HostPath;

pub use diff::{Change, Direction};
pub use launch::{Launch, Standing};
pub use load::{around, load};
pub use plan::client;
pub use programs::{Here, Lies};
pub use reach::{Answer, Step, Target, Way};
pub use why::nobody;

/// How many calls a chain takes: A → B is one, A → B → C two.
pub const HOPS: usize = 4;

/// Profiles and the calls between them, checked as a whole.
#[derive(Debug, Clone)]
pub struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// A profile that calls or is called.
#[derive(Debug, Clone)]
struct Node {
    name: Name,
    /// Its file, as problems show it.
    file: String,
    profile: Profile,
    /// What it may do itself.
    own: Authority,
    /// What it gives to those that it calls, where an edge grants nothing.
    lent: Authority,
}

/// "`caller` may call `callee`".
#[derive(Debug, Clone)]
struct Edge {
    /// What the caller calls it.
    name: Name,
    caller: usize,
    callee: usize,
    call: Call,
    origin: Origin,
}

impl Node {
    fn instances(&self) -> &Instances {
        let written = self.profile.serve.as_ref().and_then(|serve| serve.instances.as_ref());
        written.map_or(&Instances::PerCaller, |instances| &instances.value)
    }
}

impl Edge {
    /// How many instances are kept ready.
    fn ready(&self) -> usize {
        let written = self.call.ready.as_ref().map_or(0, |ready| ready.value);
        usize::try_from(written).unwrap_or(0)
    }
}

impl Graph {
    /// What is on the other end of an edge. Indices are made where the nodes are, in [`load`].
    #[expect(clippy::indexing_slicing, reason = "an edge holds places of this very list")]
    fn node(&self, place: usize) -> &Node {
        &self.nodes[place]
    }

    /// The profile that is called by this name; nothing where nobody is.
    #[must_use]
    pub fn serving(&self, name: &str) -> Option<&Profile> {
        let node = self.nodes.iter().find(|node| node.name.as_str() == name)?;
        Some(&node.profile)
    }

    /// Whether no call over an edge goes on before its record is on the disk: both may want that.
    fn is_durable(&self, edge: &Edge) -> bool {
        let serve = self.node(edge.callee).profile.serve.as_ref();
        let words = [edge.call.durable.as_ref(), serve.and_then(|serve| serve.durable.as_ref())];
        words.into_iter().flatten().any(|word| word.value)
    }

    /// Checks a document more, of which nothing is read: its file, and the folder that it lies in.
    ///
    /// # Errors
    /// Whatever in the graph may write it.
    pub fn leaves_alone(&self, document: &(String, HostPath)) -> Result<(), Vec<Problem>> {
        let problems = check::may_be_written(self, document);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn from(&self, caller: usize) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.caller == caller)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name.as_str() == name)
    }

    /// A profile and all that are called from it, directly or not.
    fn onward(&self, place: usize) -> Vec<&Node> {
        let mut places = vec![place];
        let mut next = 0;
        while let Some(place) = places.get(next).copied() {
            next += 1;
            for edge in self.from(place) {
                if !places.contains(&edge.callee) {
                    places.push(edge.callee);
                }
            }
        }
        places.into_iter().map(|place| self.node(place)).collect()
    }

    /// The names of the profiles in it.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    /// What may be called over an edge: what it names and its callee serves, by list.
    fn reach(&self, edge: &Edge) -> Vec<(&'static str, Vec<Pattern>)> {
        let Some(serve) = &self.node(edge.callee).profile.serve else {
            return Vec::new();
        };
        let lists = edge.call.reach.lists().into_iter().zip(serve.reach.lists());
        lists
            .map(|((key, edge), (_, serve))| (key, patterns::meet(edge, serve)))
            .filter(|(_, both)| !both.is_empty())
            .collect()
    }

    /// What an edge lets be done on its caller's behalf, before the callee's own profile.
    fn basis(&self, edge: &Edge) -> Authority {
        let caller = self.node(edge.caller);
        match &edge.call.grant {
            Some(grant) => Authority::granted(&grant.value, &caller.profile.folders),
            None => caller.lent.clone(),
        }
    }
}
