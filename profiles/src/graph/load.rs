//! From documents to a graph: each profile is read once, and so are those it calls.

use super::authority::Authority;
use super::{Edge, Graph, Node, check, cycles};
use crate::origin::{Origin, Written};
use crate::place::Folders;
use crate::schema::{Call, Profile};
use crate::source::Document;
use crate::{Problem, load as load_profile};
use sandboxd_broker_plan::Name;
use sandboxd_plan::HostPath;
use std::collections::BTreeMap;

/// How many profiles a graph may have.
const MOST_PROFILES: usize = 256;

/// Read profiles and all that they call, and check them as a whole. A profile among `documents` that
/// has no name, calls nobody and serves nothing is no part of it: others extend it.
///
/// # Errors
/// Everything that is wrong with a profile or with the whole.
pub fn load(
    documents: Vec<Document>,
    folders: &Folders,
    read: &mut dyn FnMut(&HostPath) -> Result<Document, String>,
) -> Result<Graph, Vec<Problem>> {
    let mut loading = Loading::new(folders, read);
    for document in documents {
        loading.add(document, false);
    }
    loading.checked()
}

/// The graph of one profile as it is run, with the command line laid over it, and of all that it calls.
/// It is the first in it.
///
/// # Errors
/// As [`load`].
pub fn around(
    profile: &Profile,
    read: &mut dyn FnMut(&HostPath) -> Result<Document, String>,
) -> Result<Graph, Vec<Problem>> {
    let (file, folder) = profile.documents.last().cloned().unzip();
    let file = file.unwrap_or_else(|| profile.label().to_owned());
    let id = identity(&file, folder.as_ref());
    let folders = profile.folders.clone();
    let mut loading = Loading::new(&folders, read);
    loading.known.insert(id.clone(), None);
    loading.place(profile.clone(), &file, id, true);
    loading.checked()
}

struct Loading<'l> {
    read: &'l mut dyn FnMut(&HostPath) -> Result<Document, String>,
    folders: &'l Folders,
    problems: Vec<Problem>,
    /// Where each file is in the graph; nothing where it is no part of it.
    known: BTreeMap<String, Option<usize>>,
    graph: Graph,
}

impl<'l> Loading<'l> {
    fn new(
        folders: &'l Folders,
        read: &'l mut dyn FnMut(&HostPath) -> Result<Document, String>,
    ) -> Self {
        let graph = Graph { nodes: Vec::new(), edges: Vec::new() };
        Self { read, folders, problems: Vec::new(), known: BTreeMap::new(), graph }
    }

    /// What was read, checked as a whole.
    fn checked(self) -> Result<Graph, Vec<Problem>> {
        let (mut graph, mut problems) = (self.graph, self.problems);
        // A callee is read before the edge to it is there.
        graph.edges.sort_by_key(|edge| edge.caller);
        if problems.is_empty() {
            problems = check::problems(&graph);
            problems.extend(cycles::problems(&graph));
        }
        if problems.is_empty() {
            return Ok(graph);
        }
        problems.sort_by(|one, other| (&one.file, one.at).cmp(&(&other.file, other.at)));
        problems.dedup();
        Err(problems)
    }

    /// The place of a profile in the graph.
    fn add(&mut self, document: Document, called: bool) -> Option<usize> {
        let file = document.name.clone();
        let id = identity(&document.name, document.folder.as_ref());
        if let Some(known) = self.known.get(&id) {
            return *known;
        }
        self.known.insert(id.clone(), None);
        match load_profile(document, self.read) {
            Ok(mut profile) => {
                profile.folders = self.folders.clone();
                self.place(profile, &file, id, called)
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    /// Gives a profile its place, and all that it calls.
    fn place(&mut self, profile: Profile, file: &str, id: String, called: bool) -> Option<usize> {
        let name = self.name(file, &profile, called)?;
        let (own, lent) = (Authority::of(&profile), Authority::lent(&profile));
        let calls: Vec<(Name, Written<Call>)> =
            profile.calls.iter().map(|(name, call)| (name.clone(), call.clone())).collect();
        let caller = self.graph.nodes.len();
        self.graph.nodes.push(Node { name, file: file.to_owned(), profile, own, lent });
        self.known.insert(id, Some(caller));
        for (name, call) in calls {
            let Written { value: call, origin } = call;
            if let Some(callee) = self.callee(&call, &origin) {
                self.graph.edges.push(Edge { name, caller, callee, call, origin });
            }
        }
        Some(caller)
    }

    /// The name that a profile goes by; nothing where it is no part of the graph.
    fn name(&mut self, file: &str, profile: &Profile, called: bool) -> Option<Name> {
        let part = called || !profile.calls.is_empty() || profile.serve.is_some();
        let Some(written) = &profile.name else {
            if part {
                let origin = Origin::named(file, "name");
                let remedy = "write name = \"…\": callers and callees are identified by it";
                self.problems.push(origin.problem("has no name", remedy));
            }
            return None;
        };
        if let Some(other) =
            self.graph.nodes.iter().find(|node| *node.name.as_str() == *written.value)
        {
            let what = format!("{} is also named {}", other.file, written.value);
            self.problems.push(written.origin.problem(what, "give each profile its own name"));
            return None;
        }
        match Name::try_from(written.value.as_str()) {
            Ok(name) => Some(name),
            Err(error) => {
                self.problems.push(written.origin.problem(error.to_string(), "correct the name"));
                None
            }
        }
    }

    fn callee(&mut self, call: &Call, origin: &Origin) -> Option<usize> {
        let Some(place) = &call.profile else {
            let remedy = "write profile = \"….toml\", relative to this file";
            self.problems
                .push(origin.problem("names no profile, so nothing can be called", remedy));
            return None;
        };
        // Where it is, whatever that stands for.
        let folders = Folders { moved: None, ..self.folders.clone() };
        let Some(path) = place.value.host(&folders) else {
            let what = format!("{} depends on a folder that is not known here", place.value);
            self.problems.push(place.origin.problem(what, "write the path from /"));
            return None;
        };
        if self.known.len() >= MOST_PROFILES {
            let what = format!("more than {MOST_PROFILES} profiles");
            self.problems.push(place.origin.problem(what, "name fewer of them"));
            return None;
        }
        match (self.read)(&path) {
            Ok(document) => self.add(document, true),
            Err(why) => {
                let what = format!("{path} cannot be read: {why}");
                self.problems.push(place.origin.problem(what, "correct the path"));
                None
            }
        }
    }
}

/// The same for the same file, whatever it was called.
fn identity(name: &str, folder: Option<&HostPath>) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    match folder {
        Some(folder) => format!("{}/{last}", folder.as_str().trim_end_matches('/')),
        None => name.to_owned(),
    }
}
