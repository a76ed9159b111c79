//! What is executed, where, and with which environment.

use super::notify::Notified;
use super::trees::{Shown, Tree};
use super::view::View;
use super::{Deciding, Grants, Invocation, credentials, inject, sockets, ssh};
use crate::host::{FileKind, Found, PathFact};
use crate::origin::{Origin, Written};
use crate::resolved::Pinned;
use sandboxd_plan::{Exec, HostPath, Identity, JailPath, Text};
use std::collections::BTreeMap;

/// Where programs lie, unless the profile sets another `PATH`.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command, decided.
pub(super) struct Decided {
    pub(super) plan: Exec,
    pub(super) pinned: Option<Pinned>,
}

impl Deciding<'_> {
    pub(super) fn exec(
        &mut self,
        shown: &Shown,
        view: &View,
        (invocation, identity): (&Invocation, Identity),
        grants: &mut Grants,
    ) -> Option<Decided> {
        let Some(Written { value: argv, origin }) = &self.profile.command.exec else {
            let origin = Origin::named("this profile", "command.exec");
            self.refuse(&origin, "no command", "write it after --, or as [command].exec");
            return None;
        };
        let cwd = self.cwd(shown, view, identity)?;
        let sockets = self.sockets(&invocation.listening);
        let mut env = self.environment(view, invocation);
        env.extend(
            sockets::variables(&sockets)
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        let path = env.get(&b"PATH"[..]).map(Vec::as_slice).unwrap_or_default();
        let program = argv.first()?;
        let candidates = self.candidates(program, path, &cwd, origin)?;
        let pinned = self.pinned(&candidates, shown);
        let env = env.into_iter().filter_map(|(name, value)| {
            let entry = [name.as_slice(), b"=", value.as_slice()].concat();
            Text::try_from(entry).ok()
        });
        let plan = Exec {
            candidates,
            argv: argv.clone(),
            env: env.collect(),
            cwd,
            pinned: pinned.as_ref().map(|_| grants.pin()),
            sockets: grants.listen(&sockets),
        };
        Some(Decided { plan, pinned })
    }

    /// The folder the command starts in: the profile's, else the caller's where it is shown, else
    /// home.
    fn cwd(&mut self, shown: &Shown, view: &View, identity: Identity) -> Option<JailPath> {
        let Some(written) = &self.profile.command.cwd else {
            let caller = self.profile.folders.cwd.as_ref().and_then(super::jail);
            let seen = caller.filter(|cwd| {
                shown.around(cwd).is_some_and(|tree| tree.from.as_str() == tree.to.as_str())
            });
            if let Some(seen) = &seen {
                let origin = Origin::named("this profile", "command.cwd");
                self.can_start_in(seen, shown, identity, &origin);
            }
            return Some(seen.unwrap_or_else(|| view.home.clone()));
        };
        let path = super::jail(&self.folder(written)?)?;
        let own = view.made(&path);
        let host = shown.around(&path).and_then(|tree| tree.host(&path));
        let exists = match host {
            None => own || shown.links.contains_key(&path),
            Some(host) => !matches!(self.host.paths.get(&host), Some(PathFact::Missing)),
        };
        if !exists {
            let what = format!("{path} does not exist inside");
            self.refuse(&written.origin, what, "grant it in [files], or write another folder");
        }
        self.can_start_in(&path, shown, identity, &written.origin);
        Some(path)
    }

    /// A place of the host's is a folder, and the command may enter it. What cannot be told from owner and mode is left to the
    /// start.
    fn can_start_in(
        &mut self,
        place: &JailPath,
        shown: &Shown,
        identity: Identity,
        origin: &Origin,
    ) {
        let Some(tree) = shown.around(place) else { return };
        let fact = tree.host(place).and_then(|host| self.host.paths.get(&host));
        let Some(PathFact::Found(found)) = fact.filter(|_| !self.is_refused(&tree.origin)) else {
            return;
        };
        if found.kind != FileKind::Directory {
            let what = format!("the command cannot start in {place}: it is not a folder");
            self.refuse(origin, what, "write a folder, or run it in one");
        } else if found.links.is_empty() && !self.enters(tree, found, identity) {
            let what = format!(
                "the command cannot start in {place}: its user may not enter it (mode {:o}, uid {})",
                found.mode, found.uid
            );
            let remedy =
                "chmod o+x it, grant it with -w, or write [command] cwd with another folder";
            self.refuse(origin, what, remedy);
        }
    }

    /// Whether some user but its owner may enter a folder, where the command is not its owner. The bit of the group may be
    /// one of an ACL.
    fn enters(&self, tree: &Tree, found: &Found, identity: Identity) -> bool {
        let owns = match self.idmap(tree, identity) {
            Some(map) => found.uid == map.disk_uid,
            None => found.uid == identity.uid,
        };
        found.mode & if owns { 0o100 } else { 0o011 } != 0
    }

    /// Where the program may lie.
    fn candidates(
        &mut self,
        program: &Text,
        path: &[u8],
        cwd: &JailPath,
        origin: &Origin,
    ) -> Option<Vec<JailPath>> {
        let Ok(name) = std::str::from_utf8(program.as_bytes()) else {
            self.refuse(origin, "the program's name is not UTF-8", "rename the program");
            return None;
        };
        let found: Vec<JailPath> = if name.starts_with('/') {
            JailPath::try_from(name).into_iter().collect()
        } else if name.contains('/') {
            cwd.join(name.strip_prefix("./").unwrap_or(name)).into_iter().collect()
        } else {
            // An entry of PATH that is not absolute would depend on where the command starts.
            let folders = path
                .split(|byte| *byte == b':')
                .filter_map(|folder| JailPath::try_from(std::str::from_utf8(folder).ok()?).ok());
            folders.filter_map(|folder| folder.join(name).ok()).collect()
        };
        if found.is_empty() {
            let shown: String = name.chars().take(120).collect();
            let what = format!("{shown:?} is not the path of a program");
            self.refuse(origin, what, "write the path from / with no `..`, or a name in PATH");
            return None;
        }
        Some(found)
    }

    /// The file whose content the profile names.
    fn pinned(&mut self, candidates: &[JailPath], shown: &Shown) -> Option<Pinned> {
        let digest = self.profile.command.sha256.as_ref()?;
        let [program] = candidates else {
            self.refuse(
                &digest.origin,
                "the program has no path",
                "write exec[0] as a path from /",
            );
            return None;
        };
        let named = HostPath::try_from(program.as_str()).ok()?;
        let real = match self.host.paths.get(&named) {
            Some(PathFact::Found(found)) => super::jail(&found.real)?,
            Some(PathFact::Missing | PathFact::Failed(_)) | None => program.clone(),
        };
        let path = shown.around(&real).and_then(|tree| tree.host(&real));
        let Some(path) = path else {
            let what = format!("{program} is not in a granted folder");
            self.refuse(&digest.origin, what, "add its folder to files.execute");
            return None;
        };
        Some(Pinned { path, sha256: digest.value.clone() })
    }

    /// Cleared first; then what sandboxd sets, what is passed, and what the profile sets.
    fn environment(&self, view: &View, invocation: &Invocation) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let env = &self.profile.env;
        let user = self.user_name();
        let mut variables = BTreeMap::new();
        for (name, value) in [
            ("PATH", PATH),
            ("HOME", view.home.as_str()),
            ("USER", user),
            ("LOGNAME", user),
            ("SHELL", "/bin/sh"),
            ("TMPDIR", view.tmp.as_str()),
        ] {
            variables.insert(name.as_bytes().to_vec(), value.as_bytes().to_vec());
        }
        for passed in &env.pass {
            let name = passed.name.value.as_bytes();
            let value = invocation.env.iter().rfind(|(known, _)| known.as_bytes() == name);
            if let Some((_, value)) = value {
                variables.insert(name.to_vec(), value.as_bytes().to_vec());
            }
        }
        for (name, value) in &env.set {
            variables.insert(name.clone().into_bytes(), value.value.clone().into_bytes());
        }
        let notified = view.notified.iter().flat_map(Notified::variables);
        variables.extend(notified.map(|(name, value)| (name.into(), value.into())));
        if let Some(folder) = &view.credentials {
            variables.insert(credentials::VARIABLE.into(), folder.as_str().into());
        }
        self.tell_of_the_proxy(&mut variables);
        if let Some(socket) = &view.agent {
            variables.insert(ssh::VARIABLE.into(), socket.as_str().into());
        }
        if let Some(bundle) = &view.authority {
            for name in inject::VARIABLES {
                variables.insert(name.into(), bundle.as_str().into());
            }
        }
        self.tell_java(view, &mut variables);
        variables
    }
}
