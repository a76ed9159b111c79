//! The graph as text, as DOT and as JSON.

use super::authority::{Authority, Out};
use super::limits::Limits;
use super::reach::place;
use super::{Edge, Graph, Node};
use crate::schema::{Approval, Call, Instances};
use sandboxd_plan::HostPath;
use serde_json::{Map, Value, json};

impl Graph {
    /// For people: each profile, what it may do itself, and whom it may call.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (place_of, node) in self.nodes.iter().enumerate() {
            let gap = if text.is_empty() { "" } else { "\n" };
            text += &format!("{gap}{}  ({})\n", node.name, node.file);
            text += &own_text(node);
            for out in node.own.network.words() {
                text += &format!("  network  {out}\n");
            }
            if let Some(served) = served(node) {
                text += &format!("  serves   {served}\n");
            }
            for edge in self.from(place_of) {
                text += &self.edge_text(edge);
            }
        }
        text
    }

    fn edge_text(&self, edge: &Edge) -> String {
        let callee = self.node(edge.callee);
        let called = if edge.name == callee.name {
            callee.name.to_string()
        } else {
            format!("{} (as {})", callee.name, edge.name)
        };
        let mut text = format!("  calls    {called}: {}\n", self.words(edge).join(", "));
        if let Some(grant) = &edge.call.grant {
            text += &format!("           by the grant at {}:\n", place(&grant.origin));
            let granted = self.basis(edge);
            text += &rights_text(&granted, "             ", &|_| false);
            for out in granted.network.words() {
                text += &format!("             network  {out}\n");
            }
        }
        if edge.call.approval.as_ref().is_some_and(|word| word.value == Approval::Ask) {
            text += "           each call needs approval\n";
        } else if let Some(serve) = self.node(edge.callee).profile.serve.as_ref()
            && !serve.ask.is_empty()
        {
            let tools: Vec<&str> = serve.ask.iter().map(|one| one.value.as_str()).collect();
            text += &format!("           calls of {} need approval\n", tools.join(", "));
        }
        if let Some(expires) = &edge.call.expires {
            text += &format!(
                "           until {} after the start of the run\n",
                lasting(expires.value)
            );
        }
        for stands in self.placed(edge) {
            text += &format!("           {stands}\n");
        }
        match edge.ready() {
            0 => {}
            1 => text += "           one instance is kept ready\n",
            several => text += &format!("           {several} instances are kept ready\n"),
        }
        if let Some(why) = &edge.call.cycle {
            text += &format!("           cycle: {}\n", why.value);
        }
        text
    }

    /// What may be called over an edge: tools by name, the others with a word before.
    fn words(&self, edge: &Edge) -> Vec<String> {
        let reach = self.reach(edge);
        let names = reach.iter().flat_map(|(key, list)| {
            list.iter().map(move |one| match *key {
                "tools" => one.as_str().to_owned(),
                key => format!("{} {one}", key.trim_end_matches('s')),
            })
        });
        names.collect()
    }

    /// For Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = "digraph calls {\n  rankdir = LR;\n  node [shape = box];\n".to_owned();
        for node in &self.nodes {
            let mut label = vec![node.name.to_string()];
            if node.profile.serve.is_some() && *node.instances() != Instances::PerCaller {
                label.push(node.instances().name().to_owned());
            }
            match node.own.network.words().as_slice() {
                [] => {}
                [out] => label.push(format!("network {out}")),
                [out, rest @ ..] => label.push(format!("network {out} and {} more", rest.len())),
            }
            let name = quoted(&[node.name.to_string()]);
            text += &format!("  {name} [label = {}];\n", quoted(&label));
        }
        for edge in &self.edges {
            let ends = [edge.caller, edge.callee].map(|end| self.node(end).name.to_string());
            let [from, to] = ends.map(|name| quoted(&[name]));
            let label = quoted(&self.words(edge));
            let style = if edge.call.grant.is_some() { ", style = bold" } else { "" };
            text += &format!("  {from} -> {to} [label = {label}{style}];\n");
        }
        text + "}\n"
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let profiles: Vec<Value> = self.nodes.iter().map(node_json).collect();
        let edges: Vec<Value> = self.edges.iter().map(|edge| self.edge_json(edge)).collect();
        json!({ "profiles": profiles, "edges": edges })
    }

    fn edge_json(&self, edge: &Edge) -> Value {
        let (caller, callee) = (self.node(edge.caller), self.node(edge.callee));
        let reach: Map<String, Value> =
            self.reach(edge).iter().map(|(key, list)| ((*key).to_owned(), json!(list))).collect();
        let mut all = call_json(&edge.call);
        if let Value::Object(own) = json!({
            "name": edge.name,
            "caller": caller.name,
            "callee": callee.name,
            "at": place(&edge.origin),
            "reach": reach,
            "placeholders": self.placed(edge),
            "grant": edge.call.grant.as_ref().map(|grant| json!({
                "at": place(&grant.origin),
                "may": authority(&self.basis(edge)),
            })),
            "may": match callee.instances() {
                Instances::PerCaller => authority(&self.basis(edge).meet(&callee.own)),
                Instances::Serial | Instances::Attenuate | Instances::Own(_) => {
                    authority(&callee.own)
                }
            },
            "approval": edge.call.approval.as_ref().map_or(Approval::Never, |word| word.value).name(),
            "expires_ms": edge.call.expires.as_ref().map(|expires| expires.value),
            "durable": self.is_durable(edge),
            "ready": edge.ready(),
            "cycle": edge.call.cycle.as_ref().map(|why| &why.value),
        }) {
            all.extend(own);
        }
        Value::Object(all)
    }
}

/// What an edge and a client outside have in common, with every default.
fn call_json(call: &Call) -> Map<String, Value> {
    let limits = Limits::of(call);
    let schemas = call.arguments.iter();
    let arguments = schemas.map(|(tool, schema)| json!({ "tool": tool, "schema": schema.value }));
    let in_flight = match limits.in_flight {
        u64::MAX => json!("unlimited"),
        number => json!(number),
    };
    let reverse: Vec<&str> = call.reverse.iter().map(|one| one.value.name()).collect();
    [
        ("arguments", arguments.collect()),
        ("approval_within_ms", json!(limits.approval_within)),
        ("reverse", json!(reverse)),
        ("instructions", json!(call.instructions.as_ref().is_some_and(|word| word.value))),
        ("rate", json!(limits.rate)),
        ("in_flight", in_flight),
        ("deadline_ms", json!(limits.deadline)),
        ("max_request", json!(limits.max_request)),
        ("max_result", json!(limits.max_result)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect()
}

fn node_json(node: &Node) -> Value {
    let serves = node.profile.serve.as_ref().map(|serve| {
        let lists = serve.reach.lists().into_iter().filter(|(_, list)| !list.is_empty());
        let lists: Map<String, Value> = lists
            .map(|(key, list)| {
                let names: Vec<&str> = list.iter().map(|one| one.value.as_str()).collect();
                (key.to_owned(), json!(names))
            })
            .collect();
        let reason = match node.instances() {
            Instances::Own(reason) => Some(reason),
            Instances::PerCaller | Instances::Serial | Instances::Attenuate => None,
        };
        let ask: Vec<&str> = serve.ask.iter().map(|one| one.value.as_str()).collect();
        json!({
            "reach": lists,
            "ask": ask,
            "instances": node.instances().name(),
            "reason": reason,
            "client": call_json(&serve.of_client()),
        })
    });
    json!({
        "name": node.name,
        "file": node.file,
        "may": authority(&node.own),
        "serves": serves,
    })
}

fn authority(authority: &Authority) -> Value {
    let mut all = Map::new();
    for (right, trees) in authority.rights() {
        let tops: Vec<_> = trees.tops().collect();
        let holes: Vec<_> = trees.holes().collect();
        all.insert(right.to_owned(), json!(tops));
        if !holes.is_empty() {
            all.insert(format!("{right}_but_not"), json!(holes));
        }
    }
    let network = match &authority.network {
        Out::Nowhere => json!("none"),
        Out::Named(_) => json!({ "egress": authority.network.words() }),
        Out::Anywhere => json!("host"),
    };
    all.insert("network".to_owned(), network);
    Value::Object(all)
}

/// What a profile itself may do with files; what the builtin profiles that it extends let every program
/// do is named as theirs.
fn own_text(node: &Node) -> String {
    let files = &node.profile.files;
    let mut builtins: Vec<(&str, HostPath)> = Vec::new();
    for grant in &files.grants {
        let file: &str = &grant.path.origin.file;
        if let (true, Some(path)) =
            (file.starts_with("builtin:"), grant.path.value.host(&node.profile.folders))
        {
            builtins.push((file, path));
        }
    }
    let text = rights_text(&node.own, "  ", &|top| builtins.iter().any(|(_, path)| path == top));
    let mut names: Vec<&str> = builtins.iter().map(|(file, _)| *file).collect();
    names.dedup();
    if names.is_empty() {
        return text;
    }
    format!("{text}  files    of {}\n", names.join(", "))
}

/// The trees of each right, a line each. What may be executed or written may be read: said once.
fn rights_text(authority: &Authority, indent: &str, but: &dyn Fn(&HostPath) -> bool) -> String {
    let mut text = String::new();
    for (right, trees) in authority.rights() {
        let more = |top: &HostPath| authority.write.has(top) || authority.execute.has(top);
        let tops: Vec<&str> = trees
            .tops()
            .filter(|top| !(but(top) || (right == "read" && more(top))))
            .map(HostPath::as_str)
            .collect();
        if !tops.is_empty() {
            text += &format!("{indent}{right:<9}{}\n", several(&tops));
        }
    }
    text
}

/// What a profile serves, in words.
fn served(node: &Node) -> Option<String> {
    let serve = node.profile.serve.as_ref()?;
    let names: Vec<String> = serve
        .reach
        .lists()
        .into_iter()
        .flat_map(|(key, list)| {
            list.iter().map(move |one| match key {
                "tools" => one.value.to_string(),
                key => format!("{} {}", key.trim_end_matches('s'), one.value),
            })
        })
        .collect();
    let how = match node.instances() {
        Instances::Own(reason) => format!("with its own rights: {reason}"),
        Instances::PerCaller | Instances::Serial | Instances::Attenuate => {
            node.instances().name().to_owned()
        }
    };
    Some(format!("{} ({how})", names.join(", ")))
}

/// A time in the largest unit that it is whole in, as profiles have it.
fn lasting(ms: u64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let whole = units.into_iter().find(|(_, unit)| ms.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

/// The first few of many; JSON has all.
fn several(all: &[&str]) -> String {
    const SHOWN: usize = 6;
    let first = all.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(SHOWN) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

/// Lines in quotes, as DOT has them.
fn quoted(lines: &[String]) -> String {
    let escaped = |line: &String| line.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", lines.iter().map(escaped).collect::<Vec<_>>().join("\\n"))
}
