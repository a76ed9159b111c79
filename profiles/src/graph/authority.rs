//! What may be done: by a profile, by a grant, by both.

use super::trees::Trees;
use crate::meet::egress::WayOut;
use crate::place::Folders;
use crate::schema::{Access, EdgeGrant, Mode, Network, Profile};
use sandboxd_plan::HostPath;

/// What may be done with files of the host, and whom the network reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) read: Trees,
    pub(super) write: Trees,
    pub(super) execute: Trees,
    pub(super) network: Out,
}

impl Authority {
    /// What a profile lets be done.
    pub(super) fn of(profile: &Profile) -> Self {
        let folders = &profile.folders;
        let grants = profile.files.grants.iter().map(|grant| (&grant.path, grant.access));
        let binds = profile.files.bind.iter().map(|bind| (&bind.from, bind.access));
        let entries = grants.chain(binds);
        let entries =
            entries.filter_map(|(path, access)| Some((path.value.host(folders)?, access)));
        let mut authority = Self::files(entries.collect());
        for hole in profile.files.hide.iter().filter_map(|hole| hole.path.value.host(folders)) {
            for trees in [&mut authority.read, &mut authority.write, &mut authority.execute] {
                trees.hide(hole.clone());
            }
        }
        authority.network = Out::of(&profile.network);
        authority
    }

    /// What the grant of an edge lets be done.
    pub(super) fn granted(grant: &EdgeGrant, folders: &Folders) -> Self {
        let entries = grant.files.iter();
        let entries =
            entries.filter_map(|entry| Some((entry.path.value.host(folders)?, entry.access)));
        Self { network: Out::of(&grant.network), ..Self::files(entries.collect()) }
    }

    /// An entry adds to what it lies in, but that one of `read` inside a tree of `write` stays
    /// read-only.
    fn files(mut entries: Vec<(HostPath, Access)>) -> Self {
        // Where a path is named twice, what lets more be done counts.
        entries.sort_by_key(|(path, access)| (path.as_str().len(), *access));
        let mut authority = Self::default();
        for (path, access) in entries {
            authority.read.mark(path.clone(), true);
            match access {
                Access::Read => {
                    authority.write.mark(path, false);
                }
                Access::Write => {
                    authority.write.mark(path, true);
                }
                Access::Execute => {
                    authority.execute.mark(path, true);
                }
            }
        }
        authority.plain()
    }

    fn plain(self) -> Self {
        Self {
            read: self.read.plain(),
            write: self.write.plain(),
            execute: self.execute.plain(),
            network: self.network,
        }
    }

    /// What both let be done.
    pub(super) fn meet(&self, other: &Self) -> Self {
        Self {
            read: self.read.meet(&other.read),
            write: self.write.meet(&other.write),
            execute: self.execute.meet(&other.execute),
            network: self.network.meet(&other.network),
        }
    }

    /// The rights with their words.
    pub(super) fn rights(&self) -> [(&'static str, &Trees); 3] {
        [("read", &self.read), ("write", &self.write), ("execute", &self.execute)]
    }
}

/// Whom the network reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Out {
    /// Nobody.
    #[default]
    Nowhere,
    /// Whom these rules name; one at least.
    Named(WayOut),
    /// All that the host reaches.
    Anywhere,
}

impl Out {
    pub(super) fn of(network: &Network) -> Self {
        match network.mode() {
            Mode::None => Self::Nowhere,
            Mode::Egress => Self::named(WayOut::of(network)),
            Mode::Host => Self::Anywhere,
        }
    }

    fn named(way: WayOut) -> Self {
        if way.rules.is_empty() { Self::Nowhere } else { Self::Named(way) }
    }

    /// Whom both reach.
    pub(super) fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Anywhere, out) | (out, Self::Anywhere) => out.clone(),
            (Self::Named(one), Self::Named(other)) => Self::named(one.meet(other)),
            (Self::Nowhere, _) | (_, Self::Nowhere) => Self::Nowhere,
        }
    }

    /// In words, one for each rule.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Nowhere => Vec::new(),
            Self::Named(way) => way.rules.iter().map(|rule| rule.written.clone()).collect(),
            Self::Anywhere => vec!["the host's".to_owned()],
        }
    }

    /// What of it goes beyond the other, likewise.
    pub(super) fn beyond(&self, other: &Self) -> Vec<String> {
        match (self, other) {
            (Self::Nowhere, _) | (_, Self::Anywhere) => Vec::new(),
            (Self::Named(way), Self::Named(other)) => {
                way.beyond(other).map(|rule| rule.written.clone()).collect()
            }
            (Self::Named(_), Self::Nowhere) | (Self::Anywhere, _) => self.words(),
        }
    }
}
