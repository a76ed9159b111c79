//! What one graph lets be done that another does not.

mod budget;
mod network;
mod profile;

use super::authority::Authority;
use super::limits::Limits;
use super::reach::place;
use super::{Edge, Graph, patterns};
use crate::origin::Written;
use crate::schema::{Approval, Call};
use sandboxd_broker_plan::Pattern;
use serde::Serialize;
use serde_json::Value;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Whether more may be done, or less.
    pub direction: Direction,
    /// A profile, or an edge: `health -> fs`.
    pub of: String,
    /// What.
    pub what: String,
    /// Where it is written: in the newer graph, or what is no longer there, in the older.
    pub at: String,
}

/// Whether more may be done, or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More, or what cannot be shown to be less.
    Widened,
    /// Less.
    Narrowed,
}

use Direction::{Narrowed, Widened};

impl Graph {
    /// What changed from this graph to a newer one: widened first.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let both = [(Widened, newer, self), (Narrowed, self, newer)];
        for (direction, here, there) in both {
            for node in &here.nodes {
                if there.find(node.name.as_str()).is_none() {
                    let (of, at) = (node.name.to_string(), node.file.clone());
                    changes.push(Change { direction, of, what: "a profile".into(), at });
                }
            }
            for edge in &here.edges {
                if there.same(here, edge).is_none() {
                    let (of, at) = (here.title(edge), place(&edge.origin));
                    changes.push(Change { direction, of, what: "an edge".into(), at });
                }
            }
        }
        for (new, node) in newer.nodes.iter().enumerate() {
            if let Some(old) = self.find(node.name.as_str()) {
                let mut told = Told { of: node.name.to_string(), at: node.file.clone(), changes };
                told.profile((self, old), (newer, new));
                changes = told.changes;
            }
        }
        for edge in &newer.edges {
            if let Some(old) = self.same(newer, edge) {
                let (of, at) = (newer.title(edge), place(&edge.origin));
                let mut told = Told { of, at, changes };
                told.edge((self, old), (newer, edge));
                changes = told.changes;
            }
        }
        changes.sort_by(|one, other| {
            (one.direction, &one.of, &one.what).cmp(&(other.direction, &other.of, &other.what))
        });
        changes
    }

    fn title(&self, edge: &Edge) -> String {
        let (caller, callee) = (&self.node(edge.caller).name, &self.node(edge.callee).name);
        if *callee == edge.name {
            return format!("{caller} -> {callee}");
        }
        format!("{caller} -> {callee} (as {})", edge.name)
    }

    /// The edge of this graph by the same name between the same profiles.
    fn same(&self, other: &Self, edge: &Edge) -> Option<&Edge> {
        let ends = |graph: &'_ Self, edge: &Edge| {
            let names = [edge.caller, edge.callee].map(|end| graph.node(end).name.clone());
            (names, edge.name.clone())
        };
        let wanted = ends(other, edge);
        self.edges.iter().find(|edge| ends(self, edge) == wanted)
    }
}

/// The changes of one profile or edge.
struct Told {
    of: String,
    at: String,
    changes: Vec<Change>,
}

impl Told {
    fn tell(&mut self, direction: Direction, what: String) {
        let (of, at) = (self.of.clone(), self.at.clone());
        self.changes.push(Change { direction, of, what, at });
    }

    /// Something that is ordered, with its words.
    fn ordered<T: PartialOrd>(&mut self, key: &str, old: (&T, String), new: (&T, String)) {
        let what = format!("{key}: {} -> {}", old.1, new.1);
        if new.0 > old.0 {
            self.tell(Widened, what);
        } else if new.0 < old.0 {
            self.tell(Narrowed, what);
        }
    }

    fn authority(&mut self, who: &str, old: &Authority, new: &Authority) {
        for (direction, here, there) in [(Widened, new, old), (Narrowed, old, new)] {
            for ((right, here), (_, there)) in here.rights().into_iter().zip(there.rights()) {
                for tree in here.beyond(there) {
                    self.tell(direction, format!("{who}{right} {tree}"));
                }
            }
            for out in here.network.beyond(&there.network) {
                self.tell(direction, format!("{who}network {out}"));
            }
        }
        self.way_out(who, &old.network, &new.network);
    }

    fn edge(&mut self, (was, old): (&Graph, &Edge), (is, new): (&Graph, &Edge)) {
        self.reach("", &was.reach(old), &is.reach(new));
        for (direction, here, there) in [
            (Widened, is.placed(new), was.placed(old)),
            (Narrowed, was.placed(old), is.placed(new)),
        ] {
            for stands in here.iter().filter(|one| !there.contains(one)) {
                self.tell(direction, format!("a secret: {stands}"));
            }
        }
        self.call("", &old.call, &new.call);
        self.manners((was, old), (is, new));
        // What a chain lets be done is the meet of its edges and of the profiles at their ends. Where none
        // of these widened, no chain did; so each is compared by itself.
        if old.call.grant.is_some() || new.call.grant.is_some() {
            self.authority("on the caller's behalf: ", &was.basis(old), &is.basis(new));
        }
    }

    fn reach(
        &mut self,
        how: &str,
        old: &[(&'static str, Vec<Pattern>)],
        new: &[(&'static str, Vec<Pattern>)],
    ) {
        for key in ["tools", "resources", "prompts", "methods"] {
            let list = |all: &[(&str, Vec<Pattern>)]| {
                let found = all.iter().find(|(name, _)| *name == key);
                found.map_or_else(Vec::new, |(_, list)| list.clone())
            };
            let (old, new) = (list(old), list(new));
            for one in patterns::beyond(&new, &old) {
                self.tell(Widened, format!("{how}{key}: {one}"));
            }
            for one in patterns::beyond(&old, &new) {
                self.tell(Narrowed, format!("{how}{key}: {one}"));
            }
        }
    }

    /// What an edge and a client outside have in common.
    fn call(&mut self, how: &str, old: &Call, new: &Call) {
        self.arguments(how, old, new);
        self.limits(how, old, new);
        let passed = |call: &Call| call.instructions.as_ref().is_some_and(|word| word.value);
        let (before, after) = (passed(old), passed(new));
        let key = format!("{how}instructions");
        self.ordered(&key, (&before, before.to_string()), (&after, after.to_string()));
        for (direction, here, there) in [(Widened, new, old), (Narrowed, old, new)] {
            for one in &here.reverse {
                if !there.reverse.iter().any(|other| other.value == one.value) {
                    self.tell(direction, format!("{how}reverse: {}", one.value.name()));
                }
            }
        }
    }

    /// A schema that is gone asks less; one that is new asks more.
    fn arguments(&mut self, how: &str, old: &Call, new: &Call) {
        let has = |call: &Call, tool: &str, schema: &Value| {
            call.arguments.iter().any(|(name, one)| name == tool && one.value == *schema)
        };
        for (direction, here, there) in [(Widened, old, new), (Narrowed, new, old)] {
            for (tool, schema) in &here.arguments {
                if !has(there, tool, &schema.value) {
                    let word = if direction == Widened { "no longer" } else { "from now on" };
                    let what = format!("{how}arguments of {tool}: {word} {}", schema.value);
                    self.tell(direction, what);
                }
            }
        }
    }

    fn limits(&mut self, how: &str, old: &Call, new: &Call) {
        let (old, new) = (Limits::of(old), Limits::of(new));
        for (key, old, new) in [
            ("in_flight", old.in_flight, new.in_flight),
            ("deadline, ms", old.deadline, new.deadline),
            ("approval_within, ms", old.approval_within, new.approval_within),
            ("expires, ms", old.expires, new.expires),
            ("max_request", old.max_request, new.max_request),
            ("max_result", old.max_result, new.max_result),
            ("calls a day", old.rate.a_day(), new.rate.a_day()),
            ("calls at once", old.rate.at_once(), new.rate.at_once()),
        ] {
            self.ordered(&format!("{how}{key}"), (&old, number(old)), (&new, number(new)));
        }
    }

    /// Whether a person is asked, the record comes first, and the way may lead back.
    fn manners(&mut self, (was, old): (&Graph, &Edge), (is, new): (&Graph, &Edge)) {
        let asks = |edge: &Edge| {
            let approval = edge.call.approval.as_ref().map_or(Approval::Never, |word| word.value);
            (approval == Approval::Never, approval.name().to_owned())
        };
        let (before, after) = (asks(old), asks(new));
        self.ordered("approval", (&before.0, before.1), (&after.0, after.1));
        let (before, after) = (was.is_durable(old), is.is_durable(new));
        self.ordered("durable", (&!before, before.to_string()), (&!after, after.to_string()));
        let cycle = |edge: &Edge| edge.call.cycle.is_some();
        let (before, after) = (cycle(old), cycle(new));
        self.ordered("cycle", (&before, before.to_string()), (&after, after.to_string()));
    }
}

fn of_list(list: &[Written<Pattern>]) -> Vec<Pattern> {
    list.iter().map(|one| one.value.clone()).collect()
}

fn number(number: u64) -> String {
    if number == u64::MAX { "unlimited".to_owned() } else { number.to_string() }
}
