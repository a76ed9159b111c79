//! Ways that lead back to where they began, and ways that are too long.

use super::{Edge, Graph, HOPS};
use crate::Problem;
use crate::schema::Instances;

pub(super) fn problems(graph: &Graph) -> Vec<Problem> {
    let mut problems = without_leave(graph);
    for edge in &graph.edges {
        let back = way(graph, edge.callee, edge.caller);
        problems.extend(needless_leave(edge, back.as_ref()));
        problems.extend(waits_for_itself(graph, edge, back.as_ref()));
    }
    if problems.is_empty() {
        problems.extend(too_long(graph));
    }
    problems
}

/// The names along some edges.
fn along(graph: &Graph, edges: &[&Edge]) -> String {
    let first = edges.first().map(|edge| edge.caller);
    let places = first.into_iter().chain(edges.iter().map(|edge| edge.callee));
    places.map(|place| graph.node(place).name.as_str()).collect::<Vec<_>>().join(" -> ")
}

/// Some way from one profile to another, as few calls as there can be; none where there is none.
fn way(graph: &Graph, from: usize, to: usize) -> Option<Vec<&Edge>> {
    let mut ways: Vec<(usize, Vec<&Edge>)> = vec![(from, Vec::new())];
    let mut seen = vec![from];
    let mut next = 0;
    while let Some((place, way)) = ways.get(next).cloned() {
        if place == to {
            return Some(way);
        }
        for edge in graph.from(place).filter(|edge| edge.caller != edge.callee) {
            if !seen.contains(&edge.callee) {
                seen.push(edge.callee);
                let longer = way.iter().copied().chain([edge]).collect();
                ways.push((edge.callee, longer));
            }
        }
        next += 1;
    }
    None
}

/// A cycle of which no edge says why is a problem of the edge that closes it.
fn without_leave(graph: &Graph) -> Vec<Problem> {
    let strict = Graph {
        nodes: graph.nodes.clone(),
        edges: graph.edges.iter().filter(|edge| edge.call.cycle.is_none()).cloned().collect(),
    };
    let mut problems = Vec::new();
    let mut done: Vec<Vec<usize>> = Vec::new();
    for edge in strict.edges.iter().filter(|edge| edge.caller != edge.callee) {
        let Some(back) = way(&strict, edge.callee, edge.caller) else { continue };
        let all: Vec<&Edge> = [edge].into_iter().chain(back).collect();
        let mut members: Vec<usize> = all.iter().map(|edge| edge.caller).collect();
        members.sort_unstable();
        if done.contains(&members) {
            continue;
        }
        done.push(members);
        // The last edge leads back to where the others came from.
        if let Some(last) = all.last() {
            let what = format!("leads in a cycle: {}", along(&strict, &all));
            let remedy =
                "remove an edge, or write cycle = \"why\" on the one that closes the cycle";
            problems.push(last.origin.problem(what, remedy));
        }
    }
    problems
}

fn needless_leave(edge: &Edge, back: Option<&Vec<&Edge>>) -> Option<Problem> {
    let leave = edge.call.cycle.as_ref().filter(|_| back.is_none())?;
    Some(leave.origin.problem("no calls lead back to this caller", "remove cycle"))
}

/// One process that answers one call at a time never answers one that it waits for.
fn waits_for_itself(graph: &Graph, edge: &Edge, back: Option<&Vec<&Edge>>) -> Option<Problem> {
    let callee = graph.node(edge.callee);
    let serial = callee.instances() == &Instances::Serial;
    let back = back.filter(|_| serial && edge.caller != edge.callee)?;
    let all: Vec<&Edge> = [edge].into_iter().chain(back.iter().copied()).collect();
    let what =
        format!("{} is serial and would wait for itself: {}", callee.name, along(graph, &all));
    Some(
        edge.origin
            .problem(what, "remove an edge, or write instances = \"per-caller\" in its [serve]"),
    )
}

/// The longest chain that begins where nobody calls; ways by leave aside, there is no cycle in it.
fn too_long(graph: &Graph) -> Option<Problem> {
    let strict: Vec<&Edge> = graph.edges.iter().filter(|edge| edge.call.cycle.is_none()).collect();
    let mut longest: Vec<Vec<&Edge>> = vec![Vec::new(); graph.nodes.len()];
    // Each round lengthens the ways by one edge; without a cycle that comes to an end.
    for _ in 0..=HOPS {
        for edge in &strict {
            let longer: Vec<&Edge> = longest
                .get(edge.callee)
                .into_iter()
                .flat_map(|way| [*edge].into_iter().chain(way.iter().copied()))
                .collect();
            if let Some(known) = longest.get_mut(edge.caller)
                && longer.len() > known.len()
            {
                *known = longer;
            }
        }
    }
    let way = longest.into_iter().max_by_key(Vec::len).filter(|way| way.len() > HOPS)?;
    let first = way.get(..=HOPS)?;
    let what = format!("a chain of more than {HOPS} calls: {}", along(graph, first));
    let remedy = "let a profile call what it needs directly";
    first.last().map(|edge| edge.origin.problem(what, remedy))
}
