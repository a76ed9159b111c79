//! What is wrong with an edge, seen from both of its ends.

use super::apart::Apart;
use super::authority::Out;
use super::{Edge, Graph, Node, patterns};
use crate::Problem;
use crate::origin::Origin;
use crate::quantity::Amount;
use crate::resolve::kept::Needed;
use crate::resolve::limits::PROCESSES;
use crate::schema::{Access, Instances, Mode, Serve, Speaks};
use sandboxd_plan::HostPath;

/// The processes of a sandbox that does nothing yet: init, and what becomes its command.
const EACH: u64 = 2;

pub(super) fn problems(graph: &Graph) -> Vec<Problem> {
    let mut checking = Checking { graph, problems: Vec::new() };
    for edge in &graph.edges {
        checking.edge(edge);
    }
    let serving = graph.nodes.iter().filter_map(|node| node.profile.serve.as_ref());
    checking.problems.extend(serving.flat_map(Serve::problems));
    let documents: Vec<_> = graph.nodes.iter().flat_map(|other| &other.profile.documents).collect();
    for node in &graph.nodes {
        checking.is_out_of_reach(node, &documents);
    }
    let written = |needed: &Needed, node: &Node| needed.place.as_ref()?.host(&node.profile.folders);
    checking.problems.extend(Apart::of(graph).secrets(written));
    checking.problems
}

/// Why a document more cannot lie in this folder.
pub(super) fn may_be_written(graph: &Graph, document: &(String, HostPath)) -> Vec<Problem> {
    let mut checking = Checking { graph, problems: Vec::new() };
    for node in &graph.nodes {
        checking.is_out_of_reach(node, &[document]);
    }
    checking.problems
}

struct Checking<'g> {
    graph: &'g Graph,
    problems: Vec<Problem>,
}

impl Checking<'_> {
    fn refuse(&mut self, origin: &Origin, what: String, remedy: impl Into<String>) {
        self.problems.push(origin.problem(what, remedy));
    }

    fn edge(&mut self, edge: &Edge) {
        let callee = self.graph.node(edge.callee);
        if callee.profile.command.exec.is_none() {
            let what = format!("{} has no command, so it cannot be started", callee.name);
            self.refuse(&edge.origin, what, format!("add [command] exec to {}", callee.file));
        }
        let Some(serve) = &callee.profile.serve else {
            let what = format!("{} serves nothing: it has no [serve]", callee.name);
            self.refuse(&edge.origin, what, format!("add [serve] to {}", callee.file));
            return;
        };
        self.names(edge, callee, serve);
        self.arguments(edge);
        self.ready(edge, callee);
        self.grant(edge, callee);
        if edge.caller == edge.callee {
            let what = format!("{} calls itself", callee.name);
            self.refuse(&edge.origin, what, "remove the edge");
        }
    }

    /// Each name on an edge is served, and there is one.
    fn names(&mut self, edge: &Edge, callee: &Node, serve: &Serve) {
        let pairs = edge.call.reach.lists().into_iter().zip(serve.reach.lists());
        let mut named = false;
        for ((key, list), (_, served)) in pairs {
            for one in list {
                named = true;
                if !patterns::meet(std::slice::from_ref(one), served).is_empty() {
                    continue;
                }
                let served: Vec<&str> = served.iter().map(|one| one.value.as_str()).collect();
                let what = format!("{} serves no {key} called {}", callee.name, one.value);
                let remedy = if served.is_empty() {
                    format!("remove it, or add [serve] {key} to {}", callee.file)
                } else {
                    format!(
                        "remove it, or add it to [serve] {key} of {}, which has {}",
                        callee.file,
                        served.join(", ")
                    )
                };
                self.refuse(&one.origin, what, remedy);
            }
        }
        if !named {
            let remedy = "write tools = [\"…\"], or remove the edge";
            self.refuse(&edge.origin, "allows nothing, so it has no use".to_owned(), remedy);
        }
        let speaks = serve.speaks.as_ref().map_or(Speaks::Mcp, |speaks| speaks.value);
        if speaks == Speaks::JsonRpc {
            let lists = edge.call.reach.lists();
            let others = lists.iter().filter(|(key, _)| *key != "methods");
            for one in others.flat_map(|(_, list)| *list) {
                let what = format!("{} speaks json-rpc, which has only methods", callee.name);
                self.refuse(&one.origin, what, "write methods = [\"…\"]");
            }
        }
    }

    fn arguments(&mut self, edge: &Edge) {
        let tools = &edge.call.reach.tools;
        for (tool, schema) in &edge.call.arguments {
            if !tools.iter().any(|pattern| pattern.value.matches(tool)) {
                let what = format!("{tool} is not one of the tools of this edge");
                self.refuse(&schema.origin, what, "correct the name, or add it to tools");
            }
        }
    }

    /// What is kept ready would be started for each connection, and its caller has room for it: its processes
    /// are the caller's.
    fn ready(&mut self, edge: &Edge, callee: &Node) {
        let Some(ready) = edge.call.ready.as_ref().filter(|ready| ready.value > 0) else { return };
        if *callee.instances() != Instances::PerCaller {
            let what = format!("{} is started once, for all callers", callee.name);
            let remedy =
                "remove ready: only a callee that is started for each connection can be kept ready";
            self.refuse(&ready.origin, what, remedy);
            return;
        }
        let caller = self.graph.node(edge.caller);
        let all: usize = self.graph.from(edge.caller).map(Edge::ready).sum();
        let takes = EACH * u64::try_from(all + 1).unwrap_or(u64::MAX);
        let limit = caller.profile.limits.processes.as_ref();
        let most = limit.map_or(Amount::Limited(PROCESSES), |limit| limit.value).limit();
        if let Some(most) = most.filter(|most| *most < takes) {
            let what = format!(
                "{} may have {most} processes; with the instances kept ready along all its edges, it needs {takes}",
                caller.name
            );
            let remedy = "keep fewer ready, or raise limits.processes of the caller";
            self.refuse(&ready.origin, what, remedy);
        }
    }

    /// What is granted can be used.
    fn grant(&mut self, edge: &Edge, callee: &Node) {
        let caller = self.graph.node(edge.caller);
        let Some(grant) = &edge.call.grant else {
            if self.graph.basis(edge).meet(&callee.own).execute.is_empty()
                && *callee.instances() == Instances::PerCaller
            {
                let what = format!(
                    "{} and {} may execute nothing in common, so it cannot start for this caller",
                    caller.name, callee.name
                );
                let remedy =
                    "write grant.files.execute = [\"/usr\"], and everything else that it may use";
                self.refuse(&edge.origin, what, remedy);
            }
            return;
        };
        if let Instances::Own(_) = callee.instances() {
            let what = format!("{} acts with its own rights, whatever is granted", callee.name);
            self.refuse(
                &grant.origin,
                what,
                "remove the grant, or write instances = \"per-caller\" in its [serve]",
            );
            return;
        }
        let folders = &caller.profile.folders;
        for entry in &grant.value.files {
            let Some(path) = entry.path.value.host(folders) else { continue };
            let uses = |node: &&Node| {
                let trees = match entry.access {
                    Access::Read => &node.own.read,
                    Access::Write => &node.own.write,
                    Access::Execute => &node.own.execute,
                };
                trees.has(&path) || !trees.below(&path).is_empty()
            };
            if !self.graph.onward(edge.callee).iter().any(uses) {
                let right = entry.access.name();
                let what = format!(
                    "neither {} nor anything it calls may {right} {path} itself",
                    callee.name
                );
                let remedy = format!("add it to [files] {right} of {}, or remove it", callee.file);
                self.refuse(&entry.path.origin, what, remedy);
            }
        }
        if self.graph.basis(edge).meet(&callee.own).execute.is_empty() {
            let what = format!("lets {} execute nothing, so it cannot start", callee.name);
            let remedy = "write grant.files.execute = [\"/usr\"]: only what grant names is granted";
            self.refuse(&grant.origin, what, remedy);
        }
        self.granted_network(edge, callee);
    }

    fn granted_network(&mut self, edge: &Edge, callee: &Node) {
        let Some(grant) = &edge.call.grant else { return };
        let network = &grant.value.network;
        if let (Mode::None, Some(entry)) = (network.mode(), network.egress.first()) {
            let remedy = "write grant.network.mode = \"egress\"";
            let what = "the granted network mode is none, so nothing can be reached".to_owned();
            self.refuse(&entry.origin, what, remedy);
        }
        let Some(mode) = network.mode.as_ref().filter(|mode| mode.value != Mode::None) else {
            return;
        };
        if mode.value == Mode::Host && network.reason.is_none() {
            let remedy = "write grant.network.reason = \"why\"";
            self.refuse(&mode.origin, "the host's network needs a reason".to_owned(), remedy);
        }
        let given = Out::of(network);
        let uses = |node: &&Node| given.meet(&node.own.network) != Out::Nowhere;
        if !self.graph.onward(edge.callee).iter().any(uses) {
            let what = format!("neither {} nor anything it calls may reach it itself", callee.name);
            self.refuse(&mode.origin, what, "remove it");
        }
    }

    /// A profile that a sandbox of the graph could rewrite binds nobody the next time.
    fn is_out_of_reach(&mut self, node: &Node, documents: &[&(String, HostPath)]) {
        for grant in node.profile.files.grants.iter().filter(|one| one.access == Access::Write) {
            self.holds_no_profile(node, &grant.path, documents);
        }
        for bind in node.profile.files.bind.iter().filter(|one| one.access == Access::Write) {
            self.holds_no_profile(node, &bind.from, documents);
        }
    }

    fn holds_no_profile(
        &mut self,
        node: &Node,
        written: &crate::Written<crate::Place>,
        documents: &[&(String, HostPath)],
    ) {
        let Some(tree) = written.value.host(&node.profile.folders) else { return };
        let mut found = Vec::new();
        for (file, folder) in documents {
            let name = file.rsplit('/').next().unwrap_or(file);
            let own = folder.join(name).is_ok_and(|own| own == tree);
            if (own || folder.is_within(&tree)) && node.own.write.has(folder) {
                found.push(format!(
                    "{tree} may be written by {}, and the profile {file} is in it",
                    node.name
                ));
            }
        }
        for what in found {
            let remedy = "move the profiles to a folder that no sandbox can write";
            self.refuse(&written.origin, what, remedy);
        }
    }
}
