//! What a sandbox is run under: each profile of another's is a layer, and the view is narrowed to what
//! all of them allow.
//!
//! The mount view is made from the meet that is computed here; the rulesets and filters are each
//! profile's own, and the kernel computes the meet from them a second time.

use super::Deciding;
use super::holes::Punched;
use super::trees::{Shown, Tree};
use crate::meet::calls::meet_all;
use crate::meet::files::{Files, Rights};
use crate::schema::{Isolation, Profile};
use crate::syscalls::{self, Verdict};
use sandboxd_plan::{Filter, Identity, Layer, Layers};

/// How many granted layers are stacked one by one; of more, those furthest away become one, because
/// Landlock stacks no more than sixteen, and programs inside may want some.
const STACKED: usize = 4;

/// Options that grant files.
const TYPED: [&str; 4] = ["-r", "-w", "-x", "--bind"];

/// What one profile gives to what is run under it.
pub(super) struct Granted {
    pub(super) name: String,
    pub(super) files: Files,
    /// What is there, for areas of its own.
    pub(super) trees: Vec<Tree>,
    holes: Vec<Punched>,
    /// Whether what is written may be executed, in private folders.
    pub(super) programs: bool,
    calls: Vec<Verdict>,
}

impl Granted {
    /// What both give.
    fn meet(mut self, over: Self) -> Self {
        self.trees.extend(over.trees);
        self.holes.extend(over.holes);
        Self {
            name: format!("{} + {}", self.name, over.name),
            files: self.files.meet(&over.files),
            trees: self.trees,
            holes: self.holes,
            programs: self.programs && over.programs,
            calls: meet_all(&self.calls, &over.calls),
        }
    }
}

/// What is left of a profile under others.
pub(super) struct Left {
    /// What the profile shows by itself.
    pub(super) own: Shown,
    /// What all of them let it show.
    pub(super) shown: Shown,
    pub(super) granted: Vec<Granted>,
    /// In what is left.
    pub(super) holes: Vec<Punched>,
}

/// The filters, and what they come to together.
pub(super) struct Filters {
    pub(super) layers: Layers<Filter>,
    pub(super) met: Vec<Verdict>,
}

impl Deciding<'_> {
    /// What the profile shows, and what is left of that.
    pub(super) fn left(&mut self, identity: Identity) -> Left {
        let granted = self.granted(identity);
        let own = self.shown(identity);
        let mut holes = self.punched(&own);
        let shown = narrow(&own, &holes, &granted);
        self.nothing_typed_is_gone(&own, &shown, &granted);
        holes.extend(granted_holes(&shown, &granted));
        Left { own, shown, granted, holes }
    }

    /// What is typed is meant. Where nothing is left of it, the command would find the sandbox's own folders
    /// in its place, and what it writes there is thrown away.
    fn nothing_typed_is_gone(&mut self, own: &Shown, shown: &Shown, granted: &[Granted]) {
        for tree in &own.trees {
            let typed = tree
                .entries
                .iter()
                .map(|(_, origin)| origin)
                .find(|origin| origin.is_typed() && TYPED.contains(&origin.key.as_str()));
            let Some(typed) = typed else { continue };
            if shown.trees.iter().any(|left| left.to.is_within(&tree.to)) {
                continue;
            }
            let gives = |one: &&Granted| part_of(tree, tree, &one.files, &one.files).is_some();
            let without: Vec<&str> =
                granted.iter().filter(|one| !gives(one)).map(|one| one.name.as_str()).collect();
            let what = format!(
                "{} is not granted by {}, which this runs under: nothing of it would be there",
                tree.to,
                without.join(" and ")
            );
            self.refuse(typed, what, "grant it there, too, or leave it out here");
        }
    }

    /// What each profile gives that this one is run under, the outermost first.
    fn granted(&mut self, identity: Identity) -> Vec<Granted> {
        let under = self.under.iter();
        let mut granted: Vec<Granted> =
            under.filter_map(|profile| self.given(profile, identity)).collect();
        while granted.len() > STACKED {
            let over = granted.remove(1);
            let outermost = granted.remove(0);
            granted.insert(0, outermost.meet(over));
        }
        granted
    }

    fn given(&mut self, profile: &Profile, identity: Identity) -> Option<Granted> {
        let mut giving = Deciding::new(profile, &[], (self.host, self.lease));
        let bare =
            [self.profile, profile].into_iter().find(|one| one.isolation() == Isolation::Landlock);
        if let Some(bare) = bare {
            let origin = crate::origin::Origin::named(bare.label(), "isolation");
            let remedy = "run it without --under, or with isolation = \"namespaces\"";
            giving.refuse(&origin, "--under needs a mount view, and this profile has none", remedy);
        }
        let shown = giving.shown(identity);
        let holes = giving.punched(&shown);
        let calls = giving.verdicts(&shown);
        self.problems.extend(giving.problems);
        Some(Granted {
            name: profile.label().to_owned(),
            files: files(&shown, &holes),
            holes,
            programs: shown.programs,
            trees: shown.trees,
            calls: calls?,
        })
    }

    /// The filters, in the order in which they are put on: the granted ones first, but one that does not
    /// allow putting on another comes last, and several of those become one.
    pub(super) fn filters(&mut self, left: &Left) -> Option<Filters> {
        let own = (self.profile.name().to_owned(), self.verdicts(&left.own)?);
        let all = left.granted.iter().map(|one| (one.name.clone(), one.calls.clone())).chain([own]);
        let further =
            syscalls::number("seccomp").and_then(|number| usize::try_from(number).ok())?;
        let (mut layers, closed): (Vec<_>, Vec<_>) = all.partition(|(_, calls)| {
            matches!(calls.get(further), Some(Verdict::Allow | Verdict::Conditional(_)))
        });
        layers.extend(
            closed
                .into_iter()
                .reduce(|(under, a), (over, b)| (format!("{under} + {over}"), meet_all(&a, &b))),
        );
        let met = layers.iter().map(|(_, calls)| calls.clone()).reduce(|a, b| meet_all(&a, &b))?;
        let filters: Result<Vec<_>, _> = layers
            .iter()
            .map(|(of, calls)| Ok(Layer { of: of.clone(), rules: syscalls::filter(calls)? }))
            .collect();
        match filters {
            Ok(filters) => Some(Filters { layers: Layers::try_from(filters).ok()?, met }),
            Err(what) => {
                self.filter_is_wrong(vec![what]);
                None
            }
        }
    }
}

/// What is shown as an authority over the host's files.
fn files(shown: &Shown, holes: &[Punched]) -> Files {
    let mut files = Files::default();
    for tree in &shown.trees {
        files.add(tree.from.clone(), tree.rights());
    }
    for (host, _) in holes.iter().flat_map(|hole| &hole.hosts) {
        files.hide(host.clone());
    }
    files
}

/// What is left of the own view under what was granted.
fn narrow(own: &Shown, holes: &[Punched], granted: &[Granted]) -> Shown {
    let Some(all) = granted.iter().map(|one| one.files.clone()).reduce(|a, b| a.meet(&b)) else {
        return own.clone();
    };
    let inside = files(own, holes);
    let mut trees: Vec<Tree> = Vec::new();
    for tree in &own.trees {
        let deeper = granted.iter().flat_map(|one| &one.trees);
        let deeper =
            deeper.filter(|inner| inner.from != tree.from && inner.from.is_within(&tree.from));
        for part in std::iter::once(tree).chain(deeper) {
            let left = part_of(tree, part, &inside, &all).filter(|left| {
                // What lies there comes from elsewhere.
                own.around(&left.to).is_some_and(|around| around.to == tree.to)
                    && !trees.iter().any(|known| known.to == left.to)
            });
            trees.extend(left);
        }
    }
    trees.sort_by(|one, other| one.to.cmp(&other.to));
    Shown {
        trees,
        links: own.links.clone(),
        programs: own.programs && granted.iter().all(|one| one.programs),
    }
}

/// The holes of what was granted, at their places in the view.
fn granted_holes(shown: &Shown, granted: &[Granted]) -> Vec<Punched> {
    granted.iter().flat_map(|one| &one.holes).flat_map(|hole| hole.everywhere(shown)).collect()
}

/// What is left of a part of a tree, at its place in the tree.
fn part_of(tree: &Tree, part: &Tree, inside: &Files, granted: &Files) -> Option<Tree> {
    let below = part.from.below(&tree.from)?;
    let to = if below.is_empty() { tree.to.clone() } else { tree.to.join(below).ok()? };
    // A hole of the own profile's takes away what lies in it.
    inside.at(&part.from)?;
    let granted = granted.at(&part.from)?;
    let socket = tree.socket && granted.socket;
    if part.socket && !socket {
        return None;
    }
    Some(Tree {
        to,
        write: tree.write && granted.write,
        execute: tree.execute && granted.execute,
        socket,
        origin: tree.origin.clone(),
        entries: tree.entries.clone(),
        ..part.clone()
    })
}

impl Tree {
    pub(super) fn rights(&self) -> Rights {
        Rights { write: self.write, execute: self.execute, socket: self.socket }
    }
}
