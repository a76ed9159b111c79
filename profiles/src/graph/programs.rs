//! Whose programs another could rewrite: what acts by more than its caller gives it would do for that one what it may
//! not do itself. For that it has to be known what lies where, so that a folder of data is not taken for a program.

use super::apart::{Apart, Reached};
use super::authority::shown;
use super::shown::Shown;
use super::{Graph, Node};
use crate::Problem;
use crate::resolve::command::PATH;
use crate::resolve::kept::Needed;
use crate::schema::{Instances, Profile};
use sandboxd_plan::HostPath;

/// What a graph is held against of the host that it is run on.
#[derive(Clone, Copy)]
pub struct Here<'h> {
    /// Where the ssh-agent of whoever runs it listens.
    pub ssh_agent: Option<&'h HostPath>,
    /// What lies at a path. No link is followed: it is a file.
    pub lies: &'h dyn Fn(&HostPath) -> Lies,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lies {
    /// A folder.
    Folder,
    /// Anything else.
    File,
    /// Nothing.
    Nothing,
}

impl Graph {
    /// Checks what depends on the host.
    ///
    /// # Errors
    /// The program of one that another could rewrite, and the ssh-agent of one that another could ask.
    pub fn holds_here(&self, here: &Here<'_>) -> Result<(), Vec<Problem>> {
        let apart = Apart::of(self);
        let asked = |needed: &Needed, _: &Node| {
            if needed.place.is_none() { here.ssh_agent.cloned() } else { None }
        };
        let mut problems = apart.secrets(asked);
        for (place, node) in self.nodes.iter().enumerate() {
            if let Some(why) = self.more_than_its_caller(place, node) {
                problems.extend(programs(&apart, (node, why), here));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Why a process of this profile may do what none that calls it gives it.
    fn more_than_its_caller(&self, place: usize, node: &Node) -> Option<&'static str> {
        let is_called = || self.edges.iter().any(|edge| edge.callee == place);
        match node.instances() {
            Instances::Own(_) => Some("acts with its own rights"),
            Instances::Serial | Instances::Attenuate => Some("is limited only by its own profile"),
            Instances::PerCaller if !node.profile.secrets.is_empty() && is_called() => {
                Some("has its own secrets")
            }
            Instances::PerCaller => None,
        }
    }
}

/// What others may write of what this profile executes.
fn programs(apart: &Apart<'_>, (node, why): (&Node, &str), here: &Here<'_>) -> Vec<Problem> {
    let Some(exec) = &node.profile.command.exec else { return Vec::new() };
    let executed = Executed { shown: shown(&node.profile), profile: &node.profile, here };
    let mut problems = Vec::new();
    let words = exec.value.iter().filter_map(|word| std::str::from_utf8(word.as_bytes()).ok());
    for (number, word) in words.enumerate() {
        let (files, remedy) = match number {
            // What was pinned is opened, digested and executed as one.
            0 if node.profile.command.sha256.is_some() => continue,
            0 => (executed.program(word), ", or pin it with sha256 = \"…\""),
            _ => (executed.argument(word).into_iter().collect(), ""),
        };
        for file in &files {
            for Reached { node: other, written, .. } in apart.others(node) {
                let Some(tree) = written.around(file) else { continue };
                let what = format!(
                    "{} may write {tree}, and so {file}, which {name} executes; and {name} {why}",
                    other.name,
                    name = node.name
                );
                let remedy = format!("move it to where {} cannot write{remedy}", other.name);
                problems.push(exec.origin.problem(what, remedy));
            }
        }
    }
    problems
}

/// What the words of a command mean in the view of its profile.
struct Executed<'e> {
    profile: &'e Profile,
    shown: Shown,
    here: &'e Here<'e>,
}

impl Executed<'_> {
    /// The files that may be the program: of a name, whatever `PATH` has up to one that is there.
    fn program(&self, word: &str) -> Vec<HostPath> {
        if word.contains('/') {
            return self.host(word).into_iter().collect();
        }
        let set = self.profile.env.set.iter().find(|(name, _)| name == "PATH");
        let folders = set.map_or(PATH, |(_, path)| path.value.as_str()).split(':');
        let mut files = Vec::new();
        for file in folders.filter_map(|folder| self.host(&format!("{folder}/{word}"))) {
            let is_there = (self.here.lies)(&file) != Lies::Nothing;
            files.push(file);
            if is_there {
                break;
            }
        }
        files
    }

    /// The file that an argument names. Where nothing lies at a whole path, it is made there before it is executed; any
    /// other word need not be a path.
    fn argument(&self, word: &str) -> Option<HostPath> {
        let file = self.host(word)?;
        match (self.here.lies)(&file) {
            Lies::File => Some(file),
            Lies::Nothing => word.starts_with('/').then_some(file),
            Lies::Folder => None,
        }
    }

    /// Where it is on the host, if this is a path and anything of the host's is shown there.
    fn host(&self, word: &str) -> Option<HostPath> {
        if word.starts_with('/') {
            return self.shown.host(&HostPath::try_from(word).ok()?);
        }
        let folders = &self.profile.folders;
        let cwd = match &self.profile.command.cwd {
            Some(cwd) => cwd.value.host(folders),
            // It starts there only where the same is shown.
            None => folders.cwd.clone().filter(|cwd| self.shown.host(cwd).as_ref() == Some(cwd)),
        };
        self.shown.host(&cwd?.join(word.strip_prefix("./").unwrap_or(word)).ok()?)
    }
}
