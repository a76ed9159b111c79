//! The credentials that a service manager passes, systemd.exec(5) `LoadCredential=`: which of them the
//! command gets.
//!
//! Where the sandbox has a view of its own, each is a file in its own read-only root that nobody but the
//! command may read. Where it has none, the command is whoever `sandboxd` is, and Landlock lets it read
//! the service manager's own file.

use super::trees::Shown;
use super::view::{View, fixed};
use super::{Deciding, Grants, jail, secrets};
use crate::origin::Origin;
use crate::resolved::Copied;
use sandboxd_plan::{HostPath, Identity, JailPath, Owner};
use std::collections::BTreeSet;

/// Where they are inside.
pub(super) const FOLDER: &str = "/run/credentials";
/// What the command is told.
pub(super) const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The credentials that were passed to `sandboxd`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing is started: as if there were all that the profile names.
    AsNamed,
    /// None.
    #[default]
    Nowhere,
    /// Some, in a folder of the service manager's.
    In {
        /// Which folder.
        folder: HostPath,
        /// What is in it.
        names: BTreeSet<String>,
    },
}

/// The credentials of the command, decided.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// By their names.
    files: Vec<(String, Copied)>,
    /// Whether the command gets copies, and not these files themselves.
    copied: bool,
    /// The folder that the command is told of; nothing where it gets none.
    folder: Option<JailPath>,
}

impl Decided {
    /// What is copied, in the order in which it is granted.
    pub(super) fn copies(&self) -> Vec<Copied> {
        let copied = self.files.iter().filter(|_| self.copied);
        copied.map(|(_, copied)| copied.clone()).collect()
    }

    /// Each, where the command finds it.
    fn inside(&self) -> impl Iterator<Item = JailPath> {
        self.files.iter().filter_map(|(name, _)| self.folder.as_ref()?.join(name).ok())
    }
}

impl Deciding<'_> {
    /// Which the command gets: those that the profile names, each of which was passed, and the secrets that
    /// are its own to read.
    pub(super) fn credentials(
        &mut self,
        passed: &Credentials,
        secrets: &secrets::Decided,
        shown: &Shown,
    ) -> Decided {
        let mut decided = self.passed(passed);
        decided.copied = !self.is_bare();
        if decided.copied {
            decided.files.extend(secrets.files());
            decided.folder = fixed(FOLDER);
        }
        let named = self.profile.command.credentials.iter().map(|name| &name.origin);
        let first = named.chain(secrets::origins(&self.profile.secrets)).next().cloned();
        let Some(first) = first.filter(|_| !decided.files.is_empty()) else {
            return Decided::default();
        };
        self.nobody_else_says(
            &[VARIABLE],
            "command.credentials, or a secret with credential,",
            "where its credentials are",
        );
        if let Some(folder) = decided.folder.as_ref().filter(|_| decided.copied)
            && shown.covers(folder)
        {
            let what = format!("a grant covers {folder}, where sandboxd puts the credentials");
            self.refuse(&first, what, "grant less than /run");
        }
        decided
    }

    /// Those that a service manager passed.
    fn passed(&mut self, passed: &Credentials) -> Decided {
        let mut decided = Decided::default();
        let mut names = self.profile.command.credentials.clone();
        let mut known = BTreeSet::new();
        names.retain(|name| known.insert(name.value.clone()));
        let Some(first) = names.first().map(|name| name.origin.clone()) else { return decided };
        let folder = match passed {
            Credentials::In { folder, .. } => folder.clone(),
            Credentials::AsNamed => match HostPath::try_from(FOLDER) {
                Ok(folder) => folder,
                Err(_) => return decided,
            },
            Credentials::Nowhere => {
                let what = "systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set)";
                let remedy = "write LoadCredential=NAME:/path in the unit, or try it with \
                              systemd-run -p LoadCredential=NAME:/path --wait --pipe sandboxd run …";
                self.refuse(&first, what, remedy);
                return decided;
            }
        };
        for name in &names {
            if let Credentials::In { names, folder } = passed
                && !names.contains(&name.value)
            {
                let what = format!("{folder} has no credential {:?}", name.value);
                self.refuse(
                    &name.origin,
                    what,
                    format!("write LoadCredential={}:/path in the unit", name.value),
                );
            }
            let file = folder.join(&name.value).ok();
            decided.files.extend(file.map(|path| (name.value.clone(), Copied::File { path })));
        }
        decided.folder = jail(&folder);
        decided
    }

    /// Puts them into the view.
    pub(super) fn show_credentials(
        &self,
        credentials: &Decided,
        view: &mut View,
        identity: Identity,
        grants: &Grants,
    ) {
        let owner = Owner { uid: identity.uid, gid: identity.gid };
        for (path, from) in credentials.inside().zip(grants.copies()) {
            view.copy(path, from, owner);
        }
        view.secrets = credentials.inside().collect();
        view.credentials.clone_from(&credentials.folder);
    }

    /// What the command is told by sandboxd and by nobody else.
    pub(super) fn nobody_else_says(&mut self, names: &[&str], key: &str, what: &str) {
        let env = &self.profile.env;
        let set = env.set.iter().map(|(name, value)| (name, &value.origin));
        let said =
            env.pass.iter().map(|passed| (&passed.name.value, &passed.name.origin)).chain(set);
        let wrong: Vec<Origin> = said
            .filter(|(name, _)| names.contains(&name.as_str()))
            .map(|(_, origin)| origin.clone())
            .collect();
        for origin in wrong {
            let what =
                format!("with {key} sandboxd sets this variable, to tell the command {what}");
            self.refuse(&origin, what, "remove it");
        }
    }
}
