//! Whether other names (hard links) show what lies in a folder that the profile hides.

use super::protected::{MOST_ENTRIES, MOST_KEPT};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sandboxd_profiles::host::ShownBy;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::time::Instant;

/// What would show something of a folder, which is opened already. A file all of whose names lie in it is shown by none.
pub(super) fn shown_by(folder: &OwnedFd, until: Instant) -> Option<ShownBy> {
    let mut files =
        Files { until, seen: 0, kept: 0, found: BTreeMap::new(), ahead: vec![c".".into()] };
    while let Some(inner) = files.ahead.pop() {
        files.kept = files.kept.saturating_sub(inner.as_bytes().len());
        match files.look(folder, &inner) {
            // It went away meanwhile; or whoever runs this may not go there, and what names it has is not known.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => {}
            Err(_) => return Some(ShownBy::Unsearched),
        }
        if files.is_over() {
            return Some(ShownBy::Unsearched);
        }
    }
    let (name, _) = files.found.into_values().find(|(_, missing)| *missing > 0)?;
    let name = String::from_utf8_lossy(name.as_bytes());
    Some(ShownBy::Name(name.trim_start_matches("./").to_owned()))
}

/// Files of a folder that have several names.
struct Files {
    until: Instant,
    /// Entries looked at.
    seen: usize,
    /// Bytes of names that are kept, of what is ahead and of what was found.
    kept: usize,
    /// By what they are: the first name, and how many more there are to be found.
    found: BTreeMap<(u64, u64), (CString, u64)>,
    /// Folders that are still to be looked at.
    ahead: Vec<CString>,
}

impl Files {
    fn is_over(&self) -> bool {
        self.seen >= MOST_ENTRIES || self.kept >= MOST_KEPT || Instant::now() > self.until
    }

    fn look(&mut self, folder: &OwnedFd, inner: &CString) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = rustix::fs::openat2(folder, inner, flags, Mode::empty(), resolve)?;
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name();
            self.seen += 1;
            if self.is_over() {
                break;
            }
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = entry.file_type();
            let path = || {
                CString::new([inner.to_bytes(), b"/", name.to_bytes()].concat())
                    .map_err(|_| Errno::INVAL)
            };
            if kind == FileType::Directory {
                self.keep_ahead(path()?);
                continue;
            }
            let stat = match rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.keep_ahead(path()?);
            } else if stat.st_nlink > 1 {
                self.count(&stat, path()?);
            }
        }
        Ok(())
    }

    fn keep_ahead(&mut self, path: CString) {
        self.kept += path.as_bytes().len();
        self.ahead.push(path);
    }

    fn count(&mut self, stat: &Stat, path: CString) {
        let kept = &mut self.kept;
        let (_, missing) = self.found.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| {
            *kept += path.as_bytes().len();
            (path, stat.st_nlink)
        });
        *missing = missing.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::protected::until;
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_shown_by_a_name_outside_of_its_folder_alone() {
        let dir = std::env::temp_dir().join(format!("sandboxd-names-{}", std::process::id()));
        fs::create_dir_all(dir.join("hidden/deep/er")).unwrap();
        fs::write(dir.join("hidden/one"), "").unwrap();
        fs::hard_link(dir.join("hidden/one"), dir.join("hidden/deep/two")).unwrap();
        let opened = rustix::fs::open(
            dir.join("hidden"),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        let within = shown_by(&opened, until());
        let late = shown_by(&opened, Instant::now());
        fs::write(dir.join("outside"), "").unwrap();
        fs::hard_link(dir.join("outside"), dir.join("hidden/deep/er/secret")).unwrap();
        let outside = shown_by(&opened, until());
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!((within, late), (None, Some(ShownBy::Unsearched)));
        assert_eq!(outside, Some(ShownBy::Name("deep/er/secret".into())));
    }
}
