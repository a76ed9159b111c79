//! Where in the profiles a plan is written, for whoever asks why: nothing is decided by it.

use super::Deciding;
use super::syscalls::Wishes;
use super::trees::Tree;
use super::under::Left;
use crate::origin::Origin;
use crate::resolved::Resolved;
use crate::schema::{Access, Profile};
use crate::syscalls::{self, Explanation};
use sandboxd_plan::{HostPath, JailPath};

/// A decision, and where it comes from.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The decision.
    pub resolved: Resolved,
    /// Where it comes from.
    pub sources: Sources,
}

/// Where a plan comes from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What each layer of Landlock is made of, in the order of the plan; the own profile's last.
    pub layers: Vec<Whose>,
    /// What the profiles hide, by place.
    pub holes: Vec<(JailPath, Origin)>,
    /// What decides that a protected name stays read-only; nothing where no profile says so.
    pub protect: Option<Origin>,
    /// What each profile says of system calls, the own last.
    pub calls: Vec<Calls>,
    /// Where the network is chosen; nothing where no profile says so.
    pub network: Option<Origin>,
    /// Entries of `network.egress`, those of the profiles that it is run under first.
    pub egress: Vec<(String, Origin)>,
}

/// What one layer allows in the view, and who says so.
#[derive(Debug, Clone)]
pub struct Whose {
    /// The profile.
    pub of: String,
    /// Its trees.
    pub areas: Vec<Area>,
}

/// A tree that a profile shows.
#[derive(Debug, Clone)]
pub struct Area {
    /// On the host.
    pub from: HostPath,
    /// Inside, where this profile is run by itself.
    pub to: JailPath,
    /// The entries that show it.
    pub entries: Vec<(Access, Origin)>,
}

/// What one profile says of system calls.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The profile.
    pub of: String,
    wishes: Wishes,
    base: Option<Origin>,
    entries: Vec<(String, Origin)>,
}

impl Calls {
    /// What this profile says of one call, and the entry or base that says it.
    #[must_use]
    pub fn explain(&self, number: u32) -> Option<(Explanation, Option<&Origin>)> {
        let explanation = syscalls::explain(&self.wishes.rules(), number).ok()?;
        let written = match explanation.group {
            "profile" => self.entry(number),
            "shared" | "architecture" => None,
            _ => self.base.as_ref(),
        };
        Some((explanation, written))
    }

    /// The last entry that names the call, itself or its group.
    fn entry(&self, number: u32) -> Option<&Origin> {
        let names = |text: &str| match text.strip_prefix('@') {
            None => syscalls::number(text) == Some(number),
            Some(group) => syscalls::groups().iter().any(|one| {
                one.name == group && one.lines.iter().any(|line| line.calls.contains(&number))
            }),
        };
        self.entries.iter().rev().find(|(text, _)| names(text)).map(|(_, origin)| origin)
    }
}

impl Deciding<'_> {
    /// Where all that was decided is written.
    pub(super) fn sources(&self, left: &Left) -> Sources {
        let granted = left
            .granted
            .iter()
            .map(|granted| Whose { of: granted.name.clone(), areas: areas(&granted.trees) });
        let own = Whose { of: self.profile.name().to_owned(), areas: areas(&left.own.trees) };
        let holes = left.holes.iter().map(|hole| (hole.place.clone(), hole.origin.clone()));
        let given = self.under.iter().map(|profile| self.as_given(profile).calls(left));
        let mut calls: Vec<Calls> = given.collect();
        calls.push(self.calls(left));
        let entries = self.under.iter().chain([self.profile]).flat_map(|one| &one.network.egress);
        Sources {
            layers: granted.chain([own]).collect(),
            holes: holes.collect(),
            protect: self.profile.files.protect.as_ref().map(|word| word.origin.clone()),
            calls,
            network: self.profile.network.mode.as_ref().map(|mode| mode.origin.clone()),
            egress: entries.map(|entry| (entry.value.text.clone(), entry.origin.clone())).collect(),
        }
    }

    /// The same host, for another profile.
    fn as_given<'a>(&'a self, profile: &'a Profile) -> Deciding<'a> {
        Deciding::new(profile, &[], (self.host, self.lease))
    }

    fn calls(&self, left: &Left) -> Calls {
        let syscalls = &self.profile.syscalls;
        let entries = syscalls.allow.iter().chain(&syscalls.deny);
        Calls {
            of: self.profile.label().to_owned(),
            wishes: self.wishes(&left.own),
            base: syscalls.base.as_ref().map(|base| base.origin.clone()),
            entries: entries.map(|entry| (entry.value.clone(), entry.origin.clone())).collect(),
        }
    }
}

fn areas(trees: &[Tree]) -> Vec<Area> {
    let area = |tree: &Tree| Area {
        from: tree.from.clone(),
        to: tree.to.clone(),
        entries: tree.entries.clone(),
    };
    trees.iter().map(area).collect()
}
