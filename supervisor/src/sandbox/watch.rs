//! After the run: what in the writable trees the host may now execute.

use crate::paths::{self, protected};
use rustix::fs::{CWD, Mode, OFlags};
use sandboxd_profiles::host::{ProtectedFact, ProtectedKind};
use sandboxd_profiles::protect;
use sandboxd_profiles::resolved::Watched;

/// Protected paths that are there now and were not held, in words.
pub(crate) fn appeared(trees: &[Watched]) -> Vec<String> {
    let mut appeared = Vec::new();
    for Watched { tree, held } in trees {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, "/", flags, Mode::empty())
            .and_then(|root| paths::open(&root, tree.as_str()));
        let Ok(opened) = opened else {
            appeared.push(format!("{tree}: could not be searched"));
            continue;
        };
        let search = protected::search(&opened, tree);
        // A socket is looked for under any name, but is named only where the name is protected.
        let named = |found: &&ProtectedFact| {
            let below = found.path.below(tree).unwrap_or_default();
            found.kind != ProtectedKind::Socket || protect::matches(below).is_some()
        };
        let new = search.found.iter().filter(named).filter(|found| !held.contains(&found.path));
        appeared.extend(new.map(|found| found.path.to_string()));
        if !search.complete {
            appeared.push(format!(
                "{tree}: could not be searched whole: too large, a folder that only its owner or root may enter, or one whose name is not UTF-8"
            ));
        }
    }
    appeared
}
