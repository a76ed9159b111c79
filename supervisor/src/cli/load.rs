//! From what was typed to a profile and an invocation.

use super::typed::Grants;
use crate::sandbox::{self, StartError, invocation};
use crate::{audit_folder, calls, host, privilege, profile_file};
use sandboxd_plan::{HostPath, Text};
use sandboxd_profiles::graph::{Here, Launch};
use sandboxd_profiles::{
    Document, Folders, Graph, Invocation, Origin, Overrides, Problem, Profile, Resolved, graph,
};
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;

/// What is run where no profile is named: nothing but the system's programs, and the current folder
/// to read.
const DEFAULT: &str = "builtin:untrusted";

/// What was typed, read.
pub(crate) struct Loaded {
    /// The profile with the command line laid over it.
    pub(crate) profile: Profile,
    /// What it is run under, the outermost first.
    pub(crate) under: Vec<Profile>,
    /// What it calls, and what that calls; nothing where it calls nobody.
    pub(crate) graph: Option<Graph>,
    /// What belongs to this invocation.
    pub(crate) invocation: Invocation,
}

/// What `-t` stands for.
pub(crate) const TTY: &str = "command.tty=\"always\"";

pub(crate) fn load(grants: &Grants) -> Result<Loaded, StartError> {
    let (cwd, home) = host::folders();
    let named = grants.profile.is_some();
    let name = profile_name(grants);
    let mut profile = profile(&name)?;
    let folders = Overrides { cwd: cwd.clone(), home: home.clone(), ..Overrides::default() };
    let mut under = Vec::new();
    for name in &grants.under {
        let mut outer = self::profile(name)?;
        outer.apply(&folders)?;
        under.push(outer);
    }
    let mut overrides = Overrides {
        read: grants.read.clone(),
        write: grants.write.clone(),
        execute: grants.execute.clone(),
        egress: grants.egress.clone(),
        bind: grants.bind.clone(),
        env: grants.env.clone(),
        set: grants.set.clone(),
        command: texts(grants.command.clone())?,
        cwd,
        home,
    };
    let by_default = !named && overrides.read.is_empty() && overrides.write.is_empty();
    if by_default {
        overrides.read.push(String::from("."));
    }
    profile.apply(&overrides)?;
    // The only -r there is, wherever what was typed beside it stands.
    let mut grants = profile.files.grants.iter_mut().filter(|_| by_default);
    let read = |origin: &Origin| origin.is_typed() && origin.key == "-r";
    if let Some(own) = grants.find(|grant| read(&grant.path.origin)) {
        // It was not typed, and so may come to nothing under another profile.
        own.path.origin.key = String::from("-r . (as nothing else is granted)");
    }
    let invocation = invocation(&profile)?;
    let graph = called(&profile)?;
    Ok(Loaded { profile, under, graph, invocation })
}

/// What would be done for a profile here; nothing of it is.
pub(crate) fn resolved(loaded: &Loaded) -> Result<Resolved, StartError> {
    let Loaded { profile, under, invocation, .. } = loaded;
    let asked = sandbox::Asked { profile, under, invocation };
    let prepared = sandbox::prepare(&asked, privilege::find(), None, audit_folder::fact())?;
    let resolved = prepared.resolved.clone();
    prepared.release()?;
    Ok(resolved)
}

/// What `look` finds of each that it calls, and that calls, by its name: once, where it is started in several ways.
pub(crate) fn callees<T: PartialEq>(
    loaded: &Loaded,
    look: impl Fn(Loaded) -> Result<T, StartError>,
) -> Result<Vec<(String, T)>, StartError> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for Launch { profile, under, .. } in loaded.graph.iter().flat_map(Graph::launches) {
        let name = profile.name().to_owned();
        let invocation = calls::invocation(&profile)?;
        match look(Loaded { profile, under, graph: None, invocation }) {
            Ok(one) => found.push((name, one)),
            Err(StartError::Problems(more)) => {
                problems.extend(more.into_iter().map(|problem| of_callee(&name, problem)));
            }
            Err(error) => return Err(error.of(&name)),
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.dedup();
    let mut said = BTreeSet::new();
    problems.retain(|problem| said.insert(problem.to_string()));
    if problems.is_empty() { Ok(found) } else { Err(StartError::Problems(problems)) }
}

/// What stands in no file does not say whose it is.
fn of_callee(name: &str, mut problem: Problem) -> Problem {
    if problem.at.is_none() {
        problem.key = format!("{name}: {}", problem.key);
    }
    problem
}

/// A command for a profile that names none, where it changes no answer which one it is.
pub(crate) fn name_a_command(profile: &mut Profile) -> Result<(), StartError> {
    if profile.command.exec.is_none() {
        let command = Text::try_from("sh").into_iter().collect();
        let Folders { cwd, home, moved: _ } = profile.folders.clone();
        profile.apply(&Overrides { command, cwd, home, ..Overrides::default() })?;
    }
    Ok(())
}

/// What this profile calls, and what that calls, checked as a whole; nothing where it calls nobody.
fn called(profile: &Profile) -> Result<Option<Graph>, StartError> {
    if profile.calls.is_empty() {
        return Ok(None);
    }
    let graph = graph::around(profile, &mut document)?;
    let ssh_agent = host::ssh_agent();
    graph.holds_here(&Here { ssh_agent: ssh_agent.as_ref(), lies: &host::lies })?;
    Ok(Some(graph))
}

/// A profile and all it extends.
fn profile(name: &str) -> Result<Profile, StartError> {
    let first = profile_file::read(name).map_err(|problem| vec![problem])?;
    Ok(sandboxd_profiles::load(first, &mut document)?)
}

pub(crate) fn document(path: &HostPath) -> Result<Document, String> {
    profile_file::read(path.as_str()).map_err(|problem| problem.what)
}

/// The name a run goes by before its profile is known.
pub(crate) fn name(grants: &Grants) -> String {
    let command = grants.command.first().map(|name| name.to_string_lossy().into_owned());
    command.unwrap_or_else(|| profile_name(grants))
}

/// The profile, as it was named.
pub(crate) fn profile_name(grants: &Grants) -> String {
    grants.profile.clone().unwrap_or_else(|| DEFAULT.to_owned())
}

fn texts(list: Vec<std::ffi::OsString>) -> Result<Vec<Text>, StartError> {
    list.into_iter()
        .map(|text| {
            Text::try_from(text.into_vec()).map_err(|error| {
                StartError::Problems(vec![Problem {
                    file: String::from("command line"),
                    at: None,
                    key: String::from("command"),
                    what: error.to_string(),
                    remedy: String::from("write it without"),
                }])
            })
        })
        .collect()
}
