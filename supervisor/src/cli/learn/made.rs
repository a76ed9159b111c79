//! The file that is learnt into: made before anything is run, and written or removed as the very file that was made.

use crate::sandbox::StartError;
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The file, and where it was made.
pub(super) struct Made<'p> {
    file: File,
    path: &'p Path,
}

impl<'p> Made<'p> {
    /// Makes it before anything is run, so that what is learnt can be written. What is there already stays as it is,
    /// but for an empty file, which is taken for what one that was killed left behind.
    ///
    /// # Errors
    /// Where something is there, or none can be made.
    pub(super) fn begin(path: &'p Path) -> Result<Self, StartError> {
        let file = match File::options().write(true).create_new(true).mode(0o644).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                left_behind(path).ok_or(error)
            }
            made => made,
        };
        let file = file.map_err(|error| {
            StartError::io("open", path.display().to_string(), &error)
                .with_remedy("name a file that is not there yet, in a folder of yours")
        })?;
        // As long as this one lives, nobody else takes it for what was left behind.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            StartError::call("flock", path.display().to_string(), errno)
                .with_remedy("another sandboxd learn writes to it: name another file")
        })?;
        // Whoever had it may have filled it meanwhile.
        if file.metadata().map_or(true, |found| found.len() > 0) {
            let what = format!("{}: it is no longer empty", path.display());
            return Err(StartError::found("flock", what).with_remedy("name another file"));
        }
        Ok(Self { file, path })
    }

    /// Writes the profile and nothing else into it, where it is still what lies there.
    ///
    /// # Errors
    /// Where another lies there, or it cannot be written.
    pub(super) fn fill(&mut self, text: &str) -> Result<(), StartError> {
        let subject = self.path.display().to_string();
        let failed = |call: &'static str| {
            let subject = subject.clone();
            move |error: io::Error| StartError::io(call, subject, &error)
        };
        if !self.is_there().map_err(failed("lstat"))? {
            let what = format!("{subject}: it was replaced by another file");
            return Err(StartError::found("lstat", what).with_remedy(
                "find out who created that, and name a file in a folder that only you can write",
            ));
        }
        self.file.set_len(0).map_err(failed("ftruncate"))?;
        self.file.write_all(text.as_bytes()).map_err(failed("write"))
    }

    /// Nothing was learnt: it is removed, and what another put in its place is not.
    pub(super) fn forget(&self) {
        if self.is_there().is_ok_and(|there| there) {
            // One that stays is taken for what a killed one left.
            std::fs::remove_file(self.path).ok();
        }
    }

    /// Whether what lies there is the file that was made. As long as that is open, its number is no other file's.
    fn is_there(&self) -> io::Result<bool> {
        let made = self.file.metadata()?;
        let found = self.path.symlink_metadata()?;
        Ok((made.dev(), made.ino()) == (found.dev(), found.ino()))
    }
}

/// An empty file of the caller's that nobody else may write.
fn left_behind(path: &Path) -> Option<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).ok()?;
    let file = File::options().write(true).custom_flags(flags).open(path).ok()?;
    let found = file.metadata().ok()?;
    let own = rustix::process::geteuid().as_raw();
    let is_ours = found.is_file() && found.uid() == own && found.mode() & 0o022 == 0;
    (is_ours && found.nlink() == 1 && found.len() == 0).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("sandboxd-{name}-{}.toml", std::process::id()))
    }

    #[test]
    fn what_was_written_meanwhile_is_no_part_of_it_nor_is_another_file() {
        let path = path("learnt");
        let mut made = Made::begin(&path).unwrap();
        fs::write(&path, "[files]\nwrite = [\"/srv\"] # longer than what is learnt\n").unwrap();
        made.fill("learnt\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "learnt\n");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another\n").unwrap();
        assert!(made.fill("learnt\n").is_err());
        let kept = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(kept, "another\n");
    }

    #[test]
    fn what_a_killed_one_left_is_no_obstacle_and_one_that_lives_is() {
        let path = path("left");
        let lives = Made::begin(&path).unwrap();
        assert!(Made::begin(&path).is_err());
        drop(lives);
        Made::begin(&path).unwrap().fill("learnt\n").unwrap();
        let taken = Made::begin(&path).is_err();
        fs::remove_file(&path).unwrap();
        assert!(taken);
    }

    #[test]
    fn what_was_made_is_removed_and_nothing_else() {
        let path = path("forgotten");
        let made = Made::begin(&path).unwrap();
        made.forget();
        assert!(!path.exists());
        // What is not there is no fault.
        made.forget();
        let made = Made::begin(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another\n").unwrap();
        made.forget();
        let kept = fs::read_to_string(&path);
        assert!(Made::begin(&path).is_err(), "what is there is taken");
        std::os::unix::fs::symlink(&path, path.with_extension("link")).unwrap();
        let linked = path.with_extension("link");
        let refused = Made::begin(&linked).is_err();
        fs::remove_file(linked).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(refused && kept.unwrap() == "another\n");
    }
}
