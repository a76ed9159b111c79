//! Folders that are walked to once for all that a profile names in them: a profile names some twenty files
//! of `/etc`, and a sandbox's `/proc` covers as many of the host's.

use super::open;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Those that were walked to.
pub(super) struct Folders {
    pub(super) root: OwnedFd,
    opened: BTreeMap<HostPath, OwnedFd>,
}

impl Folders {
    pub(super) const fn below(root: OwnedFd) -> Self {
        Self { root, opened: BTreeMap::new() }
    }

    /// Walks to a folder, where that was not done before.
    ///
    /// # Errors
    /// Those of [`open`].
    pub(super) fn walk(&mut self, folder: HostPath) -> rustix::io::Result<&OwnedFd> {
        Ok(match self.opened.entry(folder) {
            Entry::Occupied(opened) => opened.into_mut(),
            Entry::Vacant(one) => {
                let opened = open(&self.root, one.key().as_str())?;
                one.insert(opened)
            }
        })
    }

    /// What is at a path that has no link in it: what fstat(2) says of what [`open`] opens.
    ///
    /// # Errors
    /// Those of [`open`], `ELOOP` for a link among them.
    pub(super) fn stat(&mut self, path: &HostPath) -> rustix::io::Result<Stat> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return rustix::fs::fstat(&self.root);
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statat(self.walk(folder)?, name, flags)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Err(Errno::LOOP),
            _ => Ok(stat),
        }
    }
}
