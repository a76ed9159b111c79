//! How names are resolved, where the network is the host's.

use super::trees::{Shown, Tree, links};
use super::{Deciding, jail, masks};
use crate::host::{FileKind, PathFact};
use crate::schema::{Access, Mode};
use sandboxd_plan::{HostPath, Kind};
use std::collections::BTreeSet;

impl Deciding<'_> {
    /// Where the network is the host's, so is the way to resolve names.
    pub(super) fn show_resolver(&mut self, shown: &mut Shown) {
        if self.mode() != Mode::Host {
            return;
        }
        let Some(origin) = self.profile.network.mode.as_ref().map(|mode| mode.origin.clone())
        else {
            return;
        };
        if self.profile.network.reason.is_none() {
            self.refuse(
                &origin,
                "the host's network reaches everything the host reaches",
                "add reason = \"why\", or write mode = \"none\"",
            );
        }
        for path in masks::RESOLVER.iter().filter_map(|path| HostPath::try_from(*path).ok()) {
            let Some(PathFact::Found(found)) = self.host.paths.get(&path) else {
                continue;
            };
            let regular = found.kind == FileKind::Regular;
            let (true, Some(to)) =
                (regular && found.links.iter().all(|link| link.trusted), jail(&found.real))
            else {
                continue;
            };
            if shown.covers(&to) {
                continue;
            }
            shown.links.extend(links(&found.links));
            shown.trees.push(Tree {
                from: found.real.clone(),
                to,
                kind: Kind::File,
                inode: found.inode,
                write: false,
                execute: false,
                socket: false,
                owner: (found.uid, found.gid),
                protected: Vec::new(),
                searched: true,
                blind: None,
                acls: BTreeSet::new(),
                also: Vec::new(),
                origin: origin.clone(),
                entries: vec![(Access::Read, origin.clone())],
            });
        }
    }
}
