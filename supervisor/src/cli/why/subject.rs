//! What is asked about: a profile, what it is run under, and this host.

use crate::cli::load::{self, Loaded};
use crate::cli::typed::Grants;

use crate::sandbox::{self, StartError};
use crate::{audit_folder, paths, privilege, resolver};
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::PathFact;
use sandboxd_profiles::why::{Access, Answer, Asked};
use sandboxd_profiles::{
    Explained, HostFacts, Invocation, Lease, Problem, Profile, Wanted, explain, wanted,
};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A question about a plan.
pub(in crate::cli) enum Question {
    Path(String, Access),
    Syscall(String),
    Host(String, u16),
}

impl Question {
    pub(in crate::cli) fn ask(&self, asked: &Asked<'_>) -> Option<Answer> {
        match self {
            Self::Path(path, access) => Some(asked.path(path, *access)),
            Self::Syscall(name) => asked.syscall(name),
            Self::Host(host, port) => Some(asked.host(host, *port)),
        }
    }
}

/// Everything a plan is made of.
pub(in crate::cli) struct Subject {
    pub(in crate::cli) profile: Profile,
    pub(in crate::cli) under: Vec<Profile>,
    /// As they were typed.
    named: String,
    under_named: Vec<String>,
    invocation: Invocation,
    host: HostFacts,
    lease: Lease,
    /// What was found on the host so far, and whether it was searched.
    seen: RefCell<BTreeMap<(HostPath, bool), PathFact>>,
}

impl Subject {
    pub(in crate::cli) fn load(grants: &Grants) -> Result<Self, StartError> {
        let mut loaded = load::load(grants)?;
        load::name_a_command(&mut loaded.profile)?;
        Self::of(loaded, load::profile_name(grants), grants.under.clone())
    }

    /// What was loaded by these names.
    pub(in crate::cli) fn of(
        loaded: Loaded,
        named: String,
        under_named: Vec<String>,
    ) -> Result<Self, StartError> {
        let Loaded { profile, under, invocation, .. } = loaded;
        let asked = sandbox::Asked { profile: &profile, under: &under, invocation: &invocation };
        let prepared = sandbox::prepare(&asked, privilege::find(), None, audit_folder::fact())?;
        let lease = prepared.lease.clone();
        // A profile with lines more may want to know.
        let host = HostFacts { resolver: resolver::look(), ..prepared.host.clone() };
        prepared.release()?;
        let seen = RefCell::new(BTreeMap::new());
        Ok(Self { seen, profile, under, named, under_named, invocation, host, lease })
    }

    /// The plan for a profile on this host, and where it is written.
    pub(in crate::cli) fn explained(
        &self,
        profile: &Profile,
        under: &[Profile],
    ) -> Result<Explained, Vec<Problem>> {
        let host = HostFacts { paths: self.seen(&wanted(profile, under)), ..self.host.clone() };
        explain(profile, under, &host, &self.lease, &self.invocation)
    }

    /// What is at these paths. Nothing is looked at twice: a folder that may be written is searched.
    fn seen(&self, wanted: &Wanted) -> BTreeMap<HostPath, PathFact> {
        let mut seen = self.seen.borrow_mut();
        let key = |path: &HostPath| (path.clone(), wanted.writable.contains(path));
        let new = |path: &&HostPath| !seen.contains_key(&key(path));
        let missing = Wanted {
            paths: wanted.paths.iter().filter(new).cloned().collect(),
            writable: wanted.writable.clone(),
            ..Wanted::default()
        };
        seen.extend(paths::look(&missing).into_iter().map(|(path, fact)| (key(&path), fact)));
        let found = wanted.paths.iter();
        found.filter_map(|path| Some((path.clone(), seen.get(&key(path))?.clone()))).collect()
    }

    pub(in crate::cli) fn asked<'a>(&'a self, explained: &'a Explained) -> Asked<'a> {
        let guarded = std::fs::read_to_string("/proc/sys/fs/protected_symlinks");
        // Where that cannot be read, it is as kernels are configured.
        let guarded = guarded.map_or(true, |value| value.trim() != "0");
        Asked { explained, groups: &self.host.groups, guarded, look: &paths::see }
    }

    pub(in crate::cli) fn ask(&self, question: &Question) -> Result<Answer, StartError> {
        let explained = self.explained(&self.profile, &self.under)?;
        let answer = question.ask(&self.asked(&explained));
        answer.ok_or_else(|| StartError::found("why", "there is no such call"))
    }

    /// Where the command starts, where that is not the folder that this is asked in.
    pub(in crate::cli) fn starts(&self) -> Result<Option<String>, StartError> {
        let explained = self.explained(&self.profile, &self.under)?;
        Ok(sandbox::elsewhere(&self.profile, &explained.resolved.plan))
    }

    /// The profiles that a line belongs into, as they were named.
    pub(in crate::cli) fn names(&self, also_under: bool) -> Vec<String> {
        let under = self.under_named.iter().filter(|_| also_under).cloned();
        std::iter::once(self.named.clone()).chain(under).collect()
    }

    /// Where a path leads on the host: by what is shown inside, or as it is written.
    pub(in crate::cli) fn host_path(&self, path: &str, access: Access) -> Led {
        let written = |cwd: &str| {
            if path.starts_with('/') { path.to_owned() } else { format!("{cwd}/{path}") }
        };
        let Ok(explained) = self.explained(&self.profile, &self.under) else {
            return Led { host: written("/"), inside: written("/") };
        };
        let written = written(explained.resolved.plan.exec.cwd.as_str());
        let led = self.asked(&explained).leads(path, access);
        let (inside, host) = led.map_or((None, None), |(inside, host)| (Some(inside), host));
        let inside = inside.map_or_else(|| written.clone(), String::from);
        Led { host: host.map_or(written, String::from), inside }
    }
}

/// Where a path leads.
pub(in crate::cli) struct Led {
    /// On the host.
    pub(in crate::cli) host: String,
    /// Inside.
    pub(in crate::cli) inside: String,
}
