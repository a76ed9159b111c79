//! The caller's pipe, opened by name: scripts write `> /dev/stderr` and read `/dev/stdin`. Only in the direction in
//! which the command holds it already, and only by who holds it: the pipe has no other name. A FIFO that lies in a
//! folder has one, and stays as it is. A command that is its caller opens what its caller may.
//!
//! Who may open it is said by the mode of its inode, and both ends have the same: of two sandboxes with a
//! pipe between them, one may write there and the other read, and neither may do the other's part. So whoever
//! writes does it by the bits for others, which never have the one for reading; whoever reads is made the pipe's
//! group, and who is of the group is asked for the group's bits alone, inode(7). There is one group, so the second
//! sandbox that reads the same pipe gets one of its own, and so does one whose group is not its own.

use crate::lease::{LeaseError, Pool, RunDir, Settings};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, getegid, geteuid};
use sandboxd_plan::Identity;
use std::time::Duration;

/// What fstatfs(2) says of a pipe without a name: `PIPEFS_MAGIC` of linux/magic.h.
const PIPEFS: rustix::fs::FsWord = 0x5049_5045;
/// How often somebody else who sets the mode is waited for, which is a matter of microseconds.
const TRIES: u32 = 50;

/// Whether the command is whoever runs sandboxd, and may do what that one may.
pub(super) fn is_caller(user: Identity) -> bool {
    user.uid == geteuid().as_raw()
}

/// The same file through a description of its own.
pub(super) fn anew(own: &OwnedFd, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", own.as_raw_fd());
    rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
}

/// Lets the command write there by name, where nobody keeps us from looking how that would be.
pub(super) fn may_write(pipe: &OwnedFd, user: Identity) -> rustix::io::Result<()> {
    if is_owner(pipe, user)? || !is_anonymous(pipe)? {
        return Ok(());
    }
    let locked = lock(pipe, OFlags::WRONLY)?;
    let stat = rustix::fs::fstat(pipe)?;
    // Of a sandbox that read here and is gone, whose number this one has now. Whoever keeps the lock does not keep
    // this from being taken away: nobody else has that number.
    let is_ours = stat.st_gid == user.gid && is_leased(user.gid);
    if is_ours {
        rustix::fs::fchown(pipe, None, Some(getegid()))?;
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    match to_write(mode, locked.is_some(), is_ours) {
        same if same == mode => Ok(()),
        other => rustix::fs::fchmod(pipe, other),
    }
}

/// The mode of a pipe that is written to by name. Without the lock nothing is added.
fn to_write(mode: Mode, is_locked: bool, is_ours: bool) -> Mode {
    let added = if is_locked { Mode::WOTH } else { Mode::empty() };
    let taken = if is_ours { Mode::RWXG } else { Mode::empty() };
    (mode | added) - taken
}

/// Lets the command read there by name; whether it may be given this pipe at all.
pub(super) fn may_read(pipe: &OwnedFd, user: Identity) -> rustix::io::Result<bool> {
    if is_owner(pipe, user)? || !is_anonymous(pipe)? {
        return Ok(true);
    }
    if !is_leased(user.gid) {
        return Ok(false);
    }
    let Some(_locked) = lock(pipe, OFlags::RDONLY)? else { return Ok(false) };
    let stat = rustix::fs::fstat(pipe)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.intersects(Mode::RWXG) && stat.st_gid != user.gid && may_live(stat.st_gid) {
        return Ok(false);
    }
    rustix::fs::fchown(pipe, None, Some(Gid::from_raw(user.gid)))?;
    rustix::fs::fchmod(pipe, (mode - Mode::RWXG) | Mode::RGRP)?;
    Ok(true)
}

/// Whether the command sets the mode itself, should it want to.
fn is_owner(pipe: &OwnedFd, user: Identity) -> rustix::io::Result<bool> {
    Ok(is_caller(user) || rustix::fs::fstat(pipe)?.st_uid == user.uid)
}

fn is_anonymous(pipe: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(rustix::fs::fstatfs(pipe)?.f_type == PIPEFS)
}

/// Whether this is the group of one sandbox, and of nobody else. Where that cannot be told, it is not.
fn is_leased(group: u32) -> bool {
    Settings::read().is_ok_and(|settings| settings.uids.has(group))
}

/// Whether somebody is of this group. Where that cannot be told, somebody is.
fn may_live(group: u32) -> bool {
    let asked = || -> Result<bool, LeaseError> {
        let uids = Settings::read()?.uids;
        Ok(!uids.has(group) || Pool::open(uids, &RunDir::open()?)?.is_held(group)?)
    };
    asked().unwrap_or(true)
}

/// Keeps other supervisors from setting the mode, for as long as what this gives is held. A command that holds the
/// pipe can lock it for ever, and is not waited for.
fn lock(pipe: &OwnedFd, access: OFlags) -> rustix::io::Result<Option<OwnedFd>> {
    let locked = anew(pipe, access | OFlags::NONBLOCK)?;
    for _ in 0..TRIES {
        match rustix::fs::flock(&locked, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(locked)),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(1)),
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use sandboxd_plan::Groups;

    #[test]
    fn who_locks_a_pipe_is_not_waited_for_and_what_is_locked_is_unlocked_again() {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let held = lock(&to, OFlags::WRONLY).unwrap().unwrap();
        assert!(lock(&from, OFlags::RDONLY).unwrap().is_none());
        drop(held);
        assert!(lock(&from, OFlags::RDONLY).unwrap().is_some());
        assert!(lock(&to, OFlags::WRONLY).unwrap().is_some());
    }

    #[test]
    fn whoever_locks_a_pipe_keeps_a_bit_from_being_added_and_none_from_being_taken_away() {
        let mode = Mode::from_raw_mode(0o640);
        for (is_locked, is_ours, wanted) in
            [(true, true, 0o602), (true, false, 0o642), (false, true, 0o600), (false, false, 0o640)]
        {
            assert_eq!(to_write(mode, is_locked, is_ours), Mode::from_raw_mode(wanted));
        }
    }

    #[test]
    fn a_group_is_taken_away_whoever_locks_the_pipe() {
        let user = Identity { uid: 70_001, gid: 70_001, groups: Groups::Kept };
        if !geteuid().is_root() || !is_leased(user.gid) {
            println!("not run: needs root, and the usual range of uids");
            return;
        }
        let mode = Mode::from_raw_mode(0o640);
        let (from, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        rustix::fs::fchown(&to, None, Some(Gid::from_raw(user.gid))).unwrap();
        rustix::fs::fchmod(&to, mode).unwrap();
        let _held = lock(&from, OFlags::RDONLY).unwrap().unwrap();
        may_write(&to, user).unwrap();
        let stat = rustix::fs::fstat(&to).unwrap();
        assert_eq!((stat.st_gid, stat.st_mode & 0o777), (getegid().as_raw(), 0o600));
    }

    #[test]
    fn a_command_that_is_its_caller_opens_what_its_caller_may() {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let uid = geteuid().as_raw();
        let user = Identity { uid, gid: uid, groups: Groups::Kept };
        let before = rustix::fs::fstat(&from).unwrap().st_mode;
        assert!(may_read(&from, user).unwrap());
        may_write(&to, user).unwrap();
        assert_eq!(rustix::fs::fstat(&from).unwrap().st_mode, before);
    }
}
