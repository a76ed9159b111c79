//! Groups whose supervisor died before it could remove them.
//!
//! A group is left over exactly if its lock can be had: see the folder's page on who owns a group.

use super::dir::Dir;
use super::group::remove_tree;
use super::tree::{Layout, PREFIX, Tree};
use super::{CgroupError, v1, v2};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

/// Bound on the time for one group. What does not end in it is left for the next sweep.
const WITHIN: Duration = Duration::from_secs(2);

/// As many groups of sandboxes as every sweep looks at. Where there are more, one sweep in [`TURNS`] looks at all of
/// them, so that no start takes longer for those that are there already.
///
/// `/proc/locks` would tell of all at once, but its reader waits for an RCU grace period (`locks_start` in
/// fs/locks.c), and every flock(2) for the reader.
const FEW: usize = 32;
/// How many sweeps there are to one that looks at all.
const TURNS: u32 = 16;

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

/// Kills and removes groups whose supervisor is gone: all of them, where there are few or it is this one's turn.
#[must_use]
pub fn sweep(tree: &Tree) -> Swept {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = now.subsec_micros();
    let most = if now.is_multiple_of(TURNS) { usize::MAX } else { FEW };
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
        if let Err(error) = sweep_one(tree, base, (most, now), &mut swept) {
            swept.failed.push(error);
        }
    }
    swept
}

fn sweep_one(
    tree: &Tree,
    base: &Dir,
    (most, now): (usize, u32),
    swept: &mut Swept,
) -> Result<(), CgroupError> {
    let container = match tree.open_container(base) {
        Ok(container) => container,
        Err(error) if error.errno == Errno::NOENT.raw_os_error() => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut names = container.first_children(most, |name| sandbox_of(name).is_some())?;
    // Another one first each time: a sweep ends with its supervisor, and the next goes on elsewhere.
    let first = usize::try_from(now).unwrap_or(0) % names.len().max(1);
    names.rotate_left(first);
    for name in names {
        let Some(id) = sandbox_of(&name).map(str::to_owned) else { continue };
        // Owned in one hierarchy, owned in all.
        if swept.living.contains(&id) {
            continue;
        }
        match reclaim_with_below(&container, &name) {
            Ok(Some(below)) => swept.removed.extend(std::iter::once(id).chain(below)),
            Ok(None) => {
                swept.living.insert(id);
            }
            Err(error) => swept.failed.push(error),
        }
    }
    Ok(())
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
    reclaim_with_below(container, name).map(|below| below.is_some())
}

/// The same; gives the ids of the sandboxes whose groups lay below it and went with it.
fn reclaim_with_below(container: &Dir, name: &str) -> Result<Option<Vec<String>>, CgroupError> {
    let gone = Ok(Some(Vec::new()));
    let dir = match container.open(name) {
        Ok(dir) => dir,
        Err(error) if error.errno == Errno::NOENT.raw_os_error() => return gone,
        Err(error) => return Err(error),
    };
    if !dir.lock()? {
        return Ok(None);
    }
    // Another sweep may have removed what was opened, and a start have made it anew: the lock is then on
    // something that nobody has, and the name is somebody else's.
    if !container.leads_to(name, &dir)? {
        return gone;
    }
    let below = sandboxes_below(&dir);
    take_away(container, name, &dir).map(|()| Some(below))
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
}
