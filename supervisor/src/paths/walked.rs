//! Folders that are walked to once for all that a profile names in them: a profile names some twenty files
//! of `/etc`, and a sandbox's `/proc` covers as many of the host's.

use super::at;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How many are kept open. Paths come in their order, so that what is walked to anew is little.
const MOST: usize = 16;

/// Those that were walked to.
pub(super) struct Walked {
    pub(super) root: OwnedFd,
    opened: BTreeMap<HostPath, OwnedFd>,
}

impl Walked {
    pub(super) const fn from(root: OwnedFd) -> Self {
        Self { root, opened: BTreeMap::new() }
    }

    /// Walks to a folder, where that was not done before; one that is mounted on its first use is.
    ///
    /// # Errors
    /// Those of [`open`](super::open), and `ENOTDIR` for what is no folder.
    pub(super) fn walk(&mut self, folder: HostPath) -> rustix::io::Result<&OwnedFd> {
        if self.opened.len() == MOST && !self.opened.contains_key(&folder) {
            self.opened.clear();
        }
        Ok(match self.opened.entry(folder) {
            Entry::Occupied(opened) => opened.into_mut(),
            Entry::Vacant(one) => {
                let opened = at(&self.root, one.key().as_str(), OFlags::DIRECTORY)?;
                one.insert(opened)
            }
        })
    }

    /// What is at a path that has no link in it: what fstat(2) says of what [`open`](super::open) opens.
    ///
    /// # Errors
    /// Those of `open`, `ELOOP` for a link among them.
    pub(super) fn stat(&mut self, path: &HostPath) -> rustix::io::Result<Stat> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return rustix::fs::fstat(&self.root);
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statat(self.walk(folder)?, name, flags)?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        if is_link { Err(Errno::LOOP) } else { Ok(stat) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{open, open_root};
    use super::*;
    use std::os::unix::fs::{DirBuilderExt as _, symlink};

    #[test]
    fn what_is_seen_by_its_folder_is_what_is_seen_by_its_path() {
        let dir = std::env::temp_dir().join(format!("sandboxd-walked-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&dir).unwrap();
        std::fs::create_dir(dir.join("folder")).unwrap();
        std::fs::write(dir.join("folder/file"), "").unwrap();
        symlink("folder", dir.join("link")).unwrap();
        let dir = dir.canonicalize().unwrap();
        let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let mut paths: Vec<String> =
            ["folder", "folder/file", "folder/none", "none/file", "folder/file/below", "link"]
                .map(at)
                .into();
        paths.push(at("link/file"));
        paths.extend(["/", "/proc", "/proc/self/exe", "/proc/self", "/dev/null"].map(String::from));
        // More folders than are kept open, twice.
        for name in (0..2 * MOST).chain(0..2 * MOST) {
            std::fs::create_dir_all(dir.join(format!("{name}/below"))).unwrap();
            paths.push(at(&format!("{name}/below")));
        }
        let mut walked = Walked::from(open_root().unwrap());
        for path in paths {
            let host = HostPath::try_from(path.as_str()).unwrap();
            let places = |stat: Stat| (stat.st_dev, stat.st_ino, stat.st_mode);
            let opened = open(&walked.root, &path).and_then(rustix::fs::fstat);
            assert_eq!(walked.stat(&host).map(places), opened.map(places), "{path}");
            assert!(walked.opened.len() <= MOST);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
