//! What the command line says on top of a profile.

use crate::Problem;
use crate::load::parse;
use crate::origin::{Origin, Written};
use crate::place::{Folders, Place, Relative};
use crate::schema::env::{NAME, variable};
use crate::schema::{Access, Bind, Egress, Grant, Mode, Passed, Profile};
use crate::source::Document;
use sandboxd_plan::{HostPath, Text};

/// The command line, as it was typed. Relative paths start from `cwd`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `-r`.
    pub read: Vec<String>,
    /// `-w`.
    pub write: Vec<String>,
    /// `-x`.
    pub execute: Vec<String>,
    /// `--egress`: where to, as in `network.egress`.
    pub egress: Vec<String>,
    /// `--bind from:to[:access]`.
    pub bind: Vec<String>,
    /// `--env NAME`, which passes a variable on, or `--env NAME=value`.
    pub env: Vec<String>,
    /// `--set key.path=value`, the value as TOML.
    pub set: Vec<String>,
    /// The command after `--`; empty where there is none.
    pub command: Vec<Text>,
    /// The folder `sandboxd` is run in.
    pub cwd: Option<HostPath>,
    /// The home directory of whoever runs it.
    pub home: Option<HostPath>,
}

const FILE: &str = Origin::COMMAND_LINE;

impl Profile {
    /// Lay the command line over this profile.
    ///
    /// # Errors
    /// Everything on the command line that is not understood.
    pub fn apply(&mut self, overrides: &Overrides) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        for set in &overrides.set {
            match setting(set) {
                Ok(profile) => self.lay(profile),
                Err(found) => problems.extend(found),
            }
        }
        let mut typed = Profile {
            folders: Folders::of(overrides.cwd.clone(), overrides.home.clone()),
            ..Profile::default()
        };
        for (option, access, paths) in [
            ("-r", Access::Read, &overrides.read),
            ("-w", Access::Write, &overrides.write),
            ("-x", Access::Execute, &overrides.execute),
        ] {
            for path in paths {
                match place(option, path) {
                    Ok(path) => typed.files.grants.push(Grant {
                        access,
                        path,
                        optional: false,
                        reason: None,
                    }),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        for text in &overrides.egress {
            match egress(text) {
                Ok(entry) => typed.network.egress.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        if !overrides.egress.is_empty() {
            let origin = Origin::named(FILE, "--egress");
            typed.network.mode = Some(Written { value: Mode::Egress, origin });
        }
        for text in &overrides.bind {
            match bind(text) {
                Ok(bind) => typed.files.bind.push(bind),
                Err(problem) => problems.push(problem),
            }
        }
        for text in &overrides.env {
            if let Err(problem) = environment(text, &mut typed) {
                problems.push(problem);
            }
        }
        if !overrides.command.is_empty() {
            let origin = Origin::named(FILE, "command.exec");
            typed.command.exec = Some(Written { value: overrides.command.clone(), origin });
        }
        self.lay(typed);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl Profile {
    /// The profile with a text more at its end, as if it were written there.
    ///
    /// # Errors
    /// Everything in the text that is not understood.
    pub fn with(&self, text: &str) -> Result<Self, Vec<Problem>> {
        let document = Document { name: "the lines".into(), folder: None, text: text.to_owned() };
        let (more, _, _) = parse(document, false)?;
        let mut all = self.clone();
        all.lay(more);
        Ok(all)
    }
}

/// `key.path=value`.
fn setting(text: &str) -> Result<Profile, Vec<Problem>> {
    let wrong = |what: &str| {
        let origin = Origin::named(FILE, "--set");
        vec![origin.problem(what, "write --set limits.memory='\"1G\"': a key, =, and a value")]
    };
    let (key, value) = text.split_once('=').ok_or_else(|| wrong("has no ="))?;
    // One line, so that a value cannot go on to say something else.
    if key.trim().is_empty() || text.contains(['\n', '\r']) || key.contains(['#', '[', '{']) {
        return Err(wrong("not a key and a value"));
    }
    let text = format!("{key} = {value}");
    let document = Document { name: FILE.into(), folder: None, text };
    let (profile, extends, _) = parse(document, false).map_err(|mut problems| {
        // Text that is not TOML has no key yet, and here it is known.
        for problem in problems.iter_mut().filter(|problem| problem.what.starts_with("not TOML")) {
            let (key, value) = (key.trim(), value.trim());
            problem.key = format!("--set {key}");
            problem.remedy =
                format!("the value is TOML; text is quoted: --set {key}='\"{value}\"'");
        }
        problems
    })?;
    if !extends.is_empty() {
        return Err(wrong("extends can only be set in a profile"));
    }
    Ok(profile)
}

fn place(option: &str, text: &str) -> Result<Written<Place>, Problem> {
    let origin = Origin::named(FILE, option);
    match Place::read(text, Relative::FromCwd) {
        Ok(value) => Ok(Written { value, origin }),
        Err((what, remedy)) => Err(origin.problem(what, remedy)),
    }
}

fn egress(text: &str) -> Result<Written<Egress>, Problem> {
    let origin = Origin::named(FILE, "--egress");
    match Egress::read(text) {
        Ok(value) => Ok(Written { value, origin }),
        Err((what, remedy)) => Err(origin.problem(what, remedy)),
    }
}

fn bind(text: &str) -> Result<Bind, Problem> {
    let parts: Vec<&str> = text.split(':').collect();
    let (from, to, access) = match parts.as_slice() {
        [from, to] => (*from, *to, Access::Read),
        [from, to, "read"] => (*from, *to, Access::Read),
        [from, to, "write"] => (*from, *to, Access::Write),
        [from, to, "execute"] => (*from, *to, Access::Execute),
        _ => {
            return Err(Origin::named(FILE, "--bind").problem(
                "not understood",
                "write --bind from:to, or from:to:read, :write or :execute",
            ));
        }
    };
    let origin = Origin::named(FILE, "--bind");
    let to = match Place::read(to, Relative::Refused) {
        Ok(value) => Written { value, origin },
        Err((what, remedy)) => return Err(origin.problem(what, remedy)),
    };
    Ok(Bind { from: place("--bind", from)?, to, access, optional: false, reason: None })
}

/// Of what is typed no reason is asked, whatever its name is: it is for this run alone, by somebody who sees it, and
/// in no file that is handed on. A profile has to say why (`schema/env.rs`).
fn environment(text: &str, profile: &mut Profile) -> Result<(), Problem> {
    let origin = Origin::named(FILE, "--env");
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if let Err(what) = variable(name) {
        return Err(origin.problem(what, NAME));
    }
    match value {
        Some(value) if value.contains('\0') => {
            return Err(origin.problem("has a NUL byte", "no variable can have one"));
        }
        Some(value) => {
            let value = Written { value: value.to_owned(), origin };
            profile.env.set.push((name.to_owned(), value));
        }
        None => {
            let name = Written { value: name.to_owned(), origin };
            profile.env.pass.push(Passed { name, reason: None });
        }
    }
    Ok(())
}
