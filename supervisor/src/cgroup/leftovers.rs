//! Groups that killed supervisors left anywhere on this host: `sandboxd doctor`.
//!
//! A sweep looks where this supervisor makes its own groups, which is all that a start can be asked to
//! pay for. A supervisor that was started in another session or unit made its groups there. This walks
//! whole hierarchies, touches nothing that does not have the name of a sandbox's group, and of those
//! nothing that anybody owns.

use super::dir::Dir;
use super::locks::Locks;
use super::mounts::{Hierarchy, hierarchies};
use super::sweep::{Swept, reclaim, sandbox_of};
use super::tree::proc;
use super::{CgroupError, Placement, Tree, v2};
use rustix::io::Errno;
use rustix::process::test_kill_process;
use std::time::{Duration, Instant};

/// How long the end of those groups may take whose lock somebody keeps for a dead supervisor.
const WITHIN: Duration = Duration::from_secs(2);

/// No host nests cgroups deeper.
const DEEPEST: usize = 32;

/// Every group without an owner below the operator's parent, or anywhere where none is set; with
/// `remove` they are ended and removed, and otherwise only named.
///
/// # Errors
/// Where `/proc` cannot be read. What a single group answers is among [`Swept::failed`].
pub fn leftovers(placement: &Placement, remove: bool) -> Result<Swept, CgroupError> {
    let below = match placement {
        Placement::Own => "",
        Placement::Below(parent) => parent,
    };
    let mut seen = hierarchies(&proc("mountinfo")?, &proc("cgroup")?);
    seen.retain(|one| one.unified || Tree::limits_with(one));
    // The unified hierarchy first: its cgroup.kill ends everything at once.
    seen.sort_by_key(|one| !one.unified);
    let mut swept = Swept::default();
    for Hierarchy { mount, .. } in seen {
        let mut killed = Vec::new();
        let walked = Dir::mount(&mount)
            .and_then(|root| root.open(below))
            .and_then(|dir| walk(&dir, remove.then_some(&mut killed), &mut swept, 0));
        match walked {
            Err(error) if error.errno != Errno::NOENT.raw_os_error() => swept.failed.push(error),
            Ok(()) | Err(_) => {}
        }
        // Before the next hierarchy, where whoever ends keeps the locks of the same sandboxes.
        take_away(killed, &mut swept);
    }
    // One that lives in one hierarchy lives.
    swept.removed.retain(|id| !swept.living.contains(id));
    Ok(swept)
}

/// A group that was killed, and is to be removed once its lock can be had.
struct Killed {
    container: Dir,
    name: String,
    id: String,
}

/// What is left goes where `killed` is; what cannot go at once is put there.
fn walk(
    dir: &Dir,
    mut killed: Option<&mut Vec<Killed>>,
    swept: &mut Swept,
    depth: usize,
) -> Result<(), CgroupError> {
    for name in dir.children()? {
        let killed = killed.as_deref_mut();
        let Some(id) = sandbox_of(&name) else {
            if depth < DEEPEST {
                match dir.open(&name).and_then(|child| walk(&child, killed, swept, depth + 1)) {
                    Err(error) if error.errno != Errno::NOENT.raw_os_error() => {
                        swept.failed.push(error);
                    }
                    Ok(()) | Err(_) => {}
                }
            }
            continue;
        };
        let gone = match killed {
            Some(killed) => end(dir, &name, id, killed),
            None => is_left(dir, &name),
        };
        match gone {
            Ok(true) => drop(swept.removed.insert(id.to_owned())),
            Ok(false) => drop(swept.living.insert(id.to_owned())),
            Err(error) => swept.failed.push(error),
        }
    }
    Ok(())
}

/// Ends and removes a group that nobody owns; says whether it is gone, or will be.
fn end(
    container: &Dir,
    name: &str,
    id: &str,
    killed: &mut Vec<Killed>,
) -> Result<bool, CgroupError> {
    if reclaim(container, name)? {
        return Ok(true);
    }
    let dir = container.open(name)?;
    if !is_orphaned(&dir)? || !v2::can_kill(&dir) {
        return Ok(false);
    }
    v2::kill(&dir)?;
    let container = container.open("")?;
    killed.push(Killed { container, name: name.to_owned(), id: id.to_owned() });
    Ok(true)
}

/// Removes them. Whoever kept a lock may have been in another of them, so all are killed by now.
fn take_away(killed: Vec<Killed>, swept: &mut Swept) {
    let deadline = Instant::now() + WITHIN;
    for Killed { container, name, id } in killed {
        loop {
            match reclaim(&container, &name) {
                Ok(true) => {}
                Ok(false) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Ok(false) => drop(swept.living.insert(id)),
                Err(error) => {
                    swept.removed.remove(&id);
                    swept.failed.push(error);
                }
            }
            break;
        }
    }
}

/// Whether nobody owns the group. The lock that shows it is let go again at once.
fn is_left(container: &Dir, name: &str) -> Result<bool, CgroupError> {
    let dir = container.open(name)?;
    Ok(dir.lock()? || is_orphaned(&dir)?)
}

/// Whether the lock outlived the supervisor that took it: a child that was just being started has a copy
/// of every descriptor until its execve, and one that is frozen or stopped right then never comes to it.
/// proc(5) tells who took a lock; one whose taker is of another PID namespace is not listed, and counts
/// as owned.
fn is_orphaned(dir: &Dir) -> Result<bool, CgroupError> {
    let taker = Locks::read()?.taker(&dir.identity()?);
    Ok(taker.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH)))
}
