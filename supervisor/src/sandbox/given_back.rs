//! What a sandbox was given, back when it is over.

use super::error::StartError;
use crate::cgroup::Group;
use crate::lease::Held;

/// The uid, where nothing was started that could have it.
///
/// # Errors
/// Where that cannot be written down.
pub(super) fn give_back(held: Option<Held>) -> Result<(), StartError> {
    held.map_or(Ok(()), |held| held.release().map_err(StartError::from))
}

/// Removes the cgroup and gives the uid back, once nothing is left that could have it.
pub(super) fn clean_up(
    group: Option<Group>,
    held: Option<Held>,
    dead: bool,
    left: &mut Vec<String>,
) {
    let gone = match group.map(Group::remove) {
        Some(Ok(())) => true,
        Some(Err(error)) => {
            left.push(format!("not cleaned up: {error}"));
            false
        }
        // Without a cgroup, init's end, which was waited for, is the end of all of it.
        None => dead,
    };
    if !gone {
        // It stays busy, and is given out again only after a look at every process.
        return drop(held);
    }
    if let Some(Err(error)) = held.map(Held::release) {
        left.push(format!("not given back: {error}"));
    }
}

/// All of it, where nothing was started. Why that was counts: what cannot be given back is looked after by the next run.
pub(super) fn not_started(group: Option<Group>, held: Option<Held>) {
    clean_up(group, held, true, &mut Vec::new());
}
