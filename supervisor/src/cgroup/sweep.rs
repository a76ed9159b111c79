//! Groups whose supervisor died before it could remove them.
//!
//! A group is left over exactly if its lock can be had: see the folder's page on who owns a group.

use super::dir::Dir;
use super::group::remove_tree;
use super::tree::{Layout, PREFIX, Tree};
use super::{CgroupError, v1, v2};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Bound on the time for one group. What does not end in it is left for the next sweep.
const WITHIN: Duration = Duration::from_secs(2);

/// How many with a living supervisor a sweep looks at, so that no start takes longer for those that are there
/// already. What others of a thousand left is found by one of the next.
///
/// `/proc/locks` would tell of all at once, but its reader waits for an RCU grace period (`locks_start` in
/// fs/locks.c), and every flock(2) for the reader.
const MOST_LIVING: usize = 32;

/// What a sweep found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Groups removed.
    pub removed: BTreeSet<String>,
    /// Groups with a living supervisor; not touched.
    pub living: BTreeSet<String>,
    /// What could not be removed, and why.
    pub failed: Vec<CgroupError>,
}

/// Kills and removes groups whose supervisor is gone: all of them, where not many others live.
#[must_use]
pub fn sweep(tree: &Tree) -> Swept {
    let bases: Vec<&Dir> = match &tree.layout {
        Layout::V2(node) => vec![&node.base],
        // The unified directory first: its cgroup.kill ends everything at once.
        Layout::V1 { nodes, unified } => {
            unified.iter().chain(nodes.iter().map(|node| &node.base)).collect()
        }
        Layout::None => Vec::new(),
    };
    let mut swept = Swept::default();
    for base in bases {
        if let Err(error) = sweep_one(tree, base, &mut swept) {
            swept.failed.push(error);
        }
    }
    swept
}

fn sweep_one(tree: &Tree, base: &Dir, swept: &mut Swept) -> Result<(), CgroupError> {
    let container = match tree.open_container(base) {
        Ok(container) => container,
        Err(error) if error.errno == Errno::NOENT.raw_os_error() => return Ok(()),
        Err(error) => return Err(error),
    };
    look(container.children()?, std::process::id(), swept, |name| {
        let below = container.open(name).map(|group| sandboxes_below(&group)).unwrap_or_default();
        Ok(reclaim(&container, name)?.then_some(below))
    });
    Ok(())
}

/// Looks at these groups, another one first each time, until so many live. What lies below a group that is
/// removed is removed with it.
fn look(
    mut groups: Vec<String>,
    time: u32,
    swept: &mut Swept,
    reclaim: impl Fn(&str) -> Result<Option<Vec<String>>, CgroupError>,
) {
    groups.retain(|name| sandbox_of(name).is_some());
    groups.sort_unstable();
    let first = usize::try_from(time).unwrap_or(0) % groups.len().max(1);
    groups.rotate_left(first);
    let mut living = 0;
    for name in groups {
        let Some(id) = sandbox_of(&name).map(str::to_owned) else { continue };
        if living == MOST_LIVING {
            break;
        }
        // Owned in one hierarchy, owned in all.
        if swept.living.contains(&id) {
            living += 1;
            continue;
        }
        match reclaim(&name) {
            Ok(Some(below)) => swept.removed.extend(std::iter::once(id).chain(below)),
            Ok(None) => {
                living += 1;
                swept.living.insert(id);
            }
            Err(error) => swept.failed.push(error),
        }
    }
}

/// The ids of what a sandbox had called, whose groups lie below its own.
fn sandboxes_below(group: &Dir) -> Vec<String> {
    let mut ids = Vec::new();
    for name in group.children().unwrap_or_default() {
        if let (Some(id), Ok(group)) = (sandbox_of(&name), group.open(&name)) {
            ids.push(id.to_owned());
            ids.extend(sandboxes_below(&group));
        }
    }
    ids
}

/// The id of the sandbox that a group of this name is of: a name, and the uid that it was leased. A unit
/// such as `sandboxd.service` is none.
pub(crate) fn sandbox_of(group: &str) -> Option<&str> {
    let id = group.strip_prefix(PREFIX)?;
    let (name, uid) = id.rsplit_once('-')?;
    (!name.is_empty() && uid.parse::<u32>().is_ok()).then_some(id)
}

/// Removes the group `name` if nobody owns it; says whether it is gone.
pub(crate) fn reclaim(container: &Dir, name: &str) -> Result<bool, CgroupError> {
    let dir = match container.open(name) {
        Ok(dir) => dir,
        Err(error) if error.errno == Errno::NOENT.raw_os_error() => return Ok(true),
        Err(error) => return Err(error),
    };
    if !dir.lock()? {
        return Ok(false);
    }
    // Another sweep may have removed what was opened, and a start have made it anew: the lock is then on
    // something that nobody has, and the name is somebody else's.
    if !container.leads_to(name, &dir)? {
        return Ok(true);
    }
    take_away(container, name, &dir).map(|()| true)
}

fn take_away(container: &Dir, name: &str, dir: &Dir) -> Result<(), CgroupError> {
    // One that nobody is in may be a supervisor's who has made it and not yet locked it. Were it killed,
    // and this process ended before the directory is gone, nothing could ever be started in it.
    if v2::can_kill(dir) {
        if v2::populated(dir)? {
            v2::kill(dir)?;
        }
    } else if !dir.processes()?.is_empty() {
        if dir.has("pids.max") {
            dir.write("pids.max", "0")?;
        }
        v1::kill_listed(dir)?;
    }
    remove_tree(container, name, dir, Instant::now() + WITHIN, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_or_a_folder_of_the_operators_is_no_sandbox() {
        assert_eq!(sandbox_of("sandboxd.build-tool-70012"), Some("build-tool-70012"));
        for other in ["sandboxd.service", "sandboxd.socket", "sandboxd", "sandboxd-test-7", "x-7"] {
            assert_eq!(sandbox_of(other), None, "{other}");
        }
        assert_eq!(sandbox_of("sandboxd.-7"), None);
    }

    #[test]
    fn a_sweep_looks_at_few_of_the_living_and_those_after_it_find_the_rest() {
        use std::cell::Cell;
        let name = |number: u32| format!("sandboxd.x-{number}");
        // Two of a thousand lie behind more of the living than any one sweep looks at.
        let mut there: BTreeSet<String> = (70_000..71_000).map(name).collect();
        let dead = BTreeSet::from([name(70_500), name(70_999)]);
        let mut gone = 0;
        for time in (0..u32::MAX).step_by(17).take(1000) {
            let (looked, mut swept) = (Cell::new(0), Swept::default());
            look(there.iter().cloned().collect(), time, &mut swept, |name| {
                looked.set(looked.get() + 1);
                Ok(dead.contains(name).then(Vec::new))
            });
            let removed = swept.removed.len();
            assert!(looked.get() <= 32 + removed, "{}", looked.get());
            there.retain(|name| sandbox_of(name).is_none_or(|id| !swept.removed.contains(id)));
            gone += removed;
        }
        assert_eq!(gone, dead.len());
    }
}
