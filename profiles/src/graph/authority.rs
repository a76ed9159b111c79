//! What may be done: by a profile, by a grant, by both.

use super::shown::Shown;
use super::trees::Trees;
use crate::meet::egress::WayOut;
use crate::meet::files::Rights;
use crate::place::{Folders, Place};
use crate::schema::{EdgeGrant, Mode, Network, Profile};

/// Whether a right is among those that there are.
type Way = fn(Rights) -> bool;

/// What may be done with files of the host, and whom the network reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) read: Trees,
    pub(super) write: Trees,
    pub(super) execute: Trees,
    pub(super) network: Out,
}

impl Authority {
    /// What a profile lets its own sandbox do.
    pub(super) fn of(profile: &Profile) -> Self {
        let shown = shown(profile);
        Self::with(profile, &shown, |way| shown.used(way))
    }

    /// What a profile gives to what is run under it. That need not see what the profile's own sandbox sees: a bind
    /// of the one shadows nothing for the other.
    pub(super) fn lent(profile: &Profile) -> Self {
        let shown = shown(profile);
        Self::with(profile, &shown, |way| shown.lent(way))
    }

    /// What the grant of an edge lets be done.
    pub(super) fn granted(grant: &EdgeGrant, folders: &Folders) -> Self {
        let entries = grant.files.iter();
        let entries = entries.filter_map(|entry| {
            let path = entry.path.value.host(folders)?;
            Some((path.clone(), path, entry.access))
        });
        let shown = Shown::of(entries);
        Self { network: Out::of(&grant.network), ..Self::files(|way| shown.used(way)) }
    }

    /// Without what is hidden, and with the network.
    fn with(profile: &Profile, shown: &Shown, trees: impl Fn(Way) -> Trees) -> Self {
        let mut authority = Self::files(trees);
        let holes = profile.files.hide.iter();
        for hole in holes.filter_map(|hole| hole.path.value.host(&profile.folders)) {
            let hole = shown.host(&hole).unwrap_or(hole);
            for trees in [&mut authority.read, &mut authority.write, &mut authority.execute] {
                trees.hide(hole.clone());
                *trees = std::mem::take(trees).plain();
            }
        }
        authority.network = Out::of(&profile.network);
        authority
    }

    fn files(trees: impl Fn(Way) -> Trees) -> Self {
        Self {
            read: trees(|_| true),
            write: trees(|rights| rights.write),
            execute: trees(|rights| rights.execute),
            network: Out::Nowhere,
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

/// Every tree that a profile shows.
pub(super) fn shown(profile: &Profile) -> Shown {
    let host = |place: &Place| place.host(&profile.folders);
    let grants = profile.files.grants.iter().filter_map(|grant| {
        let path = host(&grant.path.value)?;
        Some((path.clone(), path, grant.access))
    });
    let binds = profile.files.bind.iter();
    let binds = binds
        .filter_map(|bind| Some((host(&bind.from.value)?, host(&bind.to.value)?, bind.access)));
    Shown::of(grants.chain(binds))
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
