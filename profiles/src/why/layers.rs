//! Landlock's answer: the rulesets of a plan, as the kernel holds a path against them.

use super::view::{Id, View};
use sandboxd_plan::{JailPath, Landlock, Layer, PathRule};

/// What one layer says.
pub(super) struct Ruled<'a> {
    pub(super) of: &'a str,
    /// Rights that are wanted and not given; none where it allows.
    pub(super) lacks: u64,
    /// Rights that this layer gives there, by any rule.
    pub(super) gives: u64,
    /// The innermost rule that gives what is wanted; where none does, the innermost that covers the place.
    pub(super) nearest: Option<&'a JailPath>,
    /// Rights that are wanted and that this kernel judges.
    pub(super) judged: u64,
}

impl<'a> View<'a> {
    /// What each layer says of rights on what lies at a path. The kernel goes up from there and takes
    /// together what the rules of each folder give; a rule is on a file and not on its name, so that it
    /// holds by every name.
    pub(super) fn ruled(&self, path: &JailPath, right: u64) -> Vec<Ruled<'a>> {
        let chain = self.chain(path);
        let layers = self.resolved.plan.command.landlock.iter();
        layers.map(|layer| self.rule(layer, &chain, right)).collect()
    }

    fn rule(&self, layer: &'a Layer<Landlock>, chain: &[Id], right: u64) -> Ruled<'a> {
        let Layer { of, rules } = layer;
        let place = |rule: &PathRule| {
            let id = self.at(&rule.path).ok()?.id;
            chain.iter().position(|one| *one == id)
        };
        let covering: Vec<(usize, &PathRule)> =
            rules.paths.iter().filter_map(|rule| Some((place(rule)?, rule))).collect();
        let gives = covering.iter().fold(0, |all, (_, rule)| all | rule.rights);
        let nearest = covering.iter().min_by_key(|(far, rule)| (rule.rights & right == 0, *far));
        let judged = rules.handled_fs & right;
        Ruled {
            of,
            lacks: judged & !gives,
            gives,
            nearest: nearest.map(|(_, rule)| &rule.path),
            judged,
        }
    }

    /// What is at a path and at every folder above it, as far as it exists.
    fn chain(&self, path: &JailPath) -> Vec<Id> {
        let mut chain = Vec::new();
        let mut at = Some(path.clone());
        while let Some(path) = at {
            chain.extend(self.at(&path).ok().map(|node| node.id));
            at = path.parent();
        }
        chain
    }
}
