//! What the operator says about this machine: `/etc/sandboxd/config.toml`.

use super::LeaseError;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::Deserialize;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// Far more than any sensible file of this kind.
const MOST: usize = 64 * 1024;

/// Settings of the machine, not of a sandbox. No file is the same as an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which uids sandboxes get.
    pub uids: Uids,
    /// Where cgroups are made.
    pub cgroups: Cgroups,
    /// How long root's audit log is kept.
    pub audit: Retention,
}

/// How long what was written down is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days after a log ended.
    pub days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: 7 }
    }
}

impl Retention {
    /// As a length of time.
    #[must_use]
    pub fn time(self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 86_400)
    }

    /// Whether the day that is written is kept, and the index, which is kept twice as long, has a time.
    ///
    /// # Errors
    /// Where it is not, or has none.
    pub fn check(&self) -> Result<(), LeaseError> {
        match self.days {
            1..=36_500 => Ok(()),
            days => Err(LeaseError::found(
                "[audit]",
                format!("days = {days}"),
                "days must be from 1 to 36500",
            )),
        }
    }
}

/// A range of uids that nothing else on the machine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Uids {
    /// The first, which init of every sandbox gets.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Default for Uids {
    /// Within 65536 to 524287, which systemd's page on uids leaves unused; `adduser` and the
    /// subordinate uids of `useradd` stay out of it too, up to 100000.
    fn default() -> Self {
        Self { first: 70_000, count: 10_000 }
    }
}

/// Where the groups of sandboxes lie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cgroups {
    /// A directory in the root of every hierarchy; nothing for the supervisor's own cgroup.
    pub parent: Option<String>,
}

impl Uids {
    /// Whether every uid of the range can belong to a sandbox.
    ///
    /// # Errors
    /// Where there are too few, or system users, `nobody` or the error value are among them.
    pub fn check(&self) -> Result<(), LeaseError> {
        let bad = |remedy: &str| {
            Err(LeaseError::found(
                "[uids]",
                format!("first = {}, count = {}", self.first, self.count),
                remedy,
            ))
        };
        if self.count < 2 {
            return bad(
                "count must be 2 or more: one for init, and one for each sandbox at a time",
            );
        }
        if self.first < 1000 {
            return bad("first must be 1000 or more: those below belong to the system");
        }
        if self.first.checked_add(self.count).is_none_or(|end| end > 1 << 31) {
            return bad("the range must end below 2147483648: keep first + count within it");
        }
        if self.has(65_534) || self.has(65_535) {
            return bad("65534 is nobody and 65535 an error value: keep both out of the range");
        }
        Ok(())
    }

    /// Whether a uid lies in it.
    #[must_use]
    pub const fn has(&self, uid: u32) -> bool {
        uid >= self.first && uid - self.first < self.count
    }
}

impl Settings {
    /// Those in `/etc/sandboxd/config.toml`.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub fn read() -> Result<Self, LeaseError> {
        Self::at(Path::new("/etc/sandboxd/config.toml"))
    }

    /// Those in this file.
    ///
    /// # Errors
    /// Where it, or its directory, is not root's or can be written by others; where it is a link,
    /// too long, or not understood to the last word.
    pub fn at(path: &Path) -> Result<Self, LeaseError> {
        const REMEDY: &str = "make it a regular file that belongs to root and that nobody else can write: chown root, chmod go-w";
        const FOLDER: &str =
            "let the folder belong to root, and nobody else write it: chown root, chmod go-w";
        let label = path.display().to_string();
        let refused = |call, errno| LeaseError::refused(call, &label, errno, REMEDY);
        let Some((parent, name)) = path.parent().zip(path.file_name()) else {
            return Err(LeaseError::found("open", &label, "name a file"));
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = |fd: std::os::fd::BorrowedFd<'_>, name: &std::ffi::OsStr, more| {
            rustix::io::retry_on_intr(|| rustix::fs::openat(fd, name, flags | more, Mode::empty()))
        };
        let dir = match open(rustix::fs::CWD, parent.as_os_str(), OFlags::DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(Self::default()),
            Err(errno) => return Err(refused("open", errno)),
        };
        let file = match open(std::os::fd::AsFd::as_fd(&dir), name, OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Self::default()),
            Err(errno) => return Err(refused("openat", errno)),
        };
        let folder = parent.display().to_string();
        for (fd, wanted, which) in
            [(&dir, FileType::Directory, &folder), (&file, FileType::RegularFile, &label)]
        {
            let stat = rustix::fs::fstat(fd).map_err(|errno| refused("fstat", errno))?;
            if !trusted(&stat, wanted) {
                let mode = stat.st_mode & 0o7777;
                let what = format!("{which}: owner {}, mode {mode:04o}", stat.st_uid);
                let remedy = if wanted == FileType::Directory { FOLDER } else { REMEDY };
                return Err(LeaseError::found("fstat", what, remedy));
            }
        }
        let text = text(&file).map_err(|errno| refused("read", errno))?;
        Self::understood(&label, &text)
    }

    fn understood(label: &str, text: &str) -> Result<Self, LeaseError> {
        let settings: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let what = format!("{label}:{line}: {}", error.message());
            LeaseError::found("parse", what, "correct or remove this line")
        })?;
        settings.uids.check().and_then(|()| settings.audit.check()).map_err(|error| {
            let subject = format!("{label}: {} {}", error.call, error.subject);
            LeaseError { call: "parse", subject, ..error }
        })?;
        Ok(settings)
    }
}

fn trusted(stat: &Stat, wanted: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == wanted && stat.st_uid == 0 && stat.st_mode & 0o022 == 0
}

fn text(file: &OwnedFd) -> Result<String, Errno> {
    let mut bytes = vec![0; MOST + 1];
    let mut length = 0;
    loop {
        let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) else {
            return Err(Errno::FBIG);
        };
        match rustix::io::retry_on_intr(|| rustix::io::read(file, &mut *room))? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_range_is_one_that_can_be_leased() {
        assert_eq!(Uids::default().check(), Ok(()));
    }

    #[test]
    fn a_range_with_somebody_elses_uid_is_refused() {
        for (first, count) in [
            (70_000, 1),
            (70_000, 0),
            (0, 100),
            (999, 2),
            (65_000, 1000),
            (65_535, 2),
            (u32::MAX, 2),
            (1 << 31, 2),
        ] {
            assert!(Uids { first, count }.check().is_err(), "{first} {count}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_file_and_line() {
        let what = |text: &str| Settings::understood("/etc/it", text).unwrap_err().subject;
        let unknown = what("[audit]\n\ndasy = 1\n");
        assert!(unknown.starts_with("/etc/it:3: unknown field `dasy`"), "{unknown}");
        assert!(!unknown.contains('\n'), "{unknown}");
        assert_eq!(what("[audit]\ndays = 0\n"), "/etc/it: [audit] days = 0");
        assert_eq!(what("[uids]\ncount = 1\n"), "/etc/it: [uids] first = 70000, count = 1");
    }

    #[test]
    fn an_unknown_key_is_refused_and_a_missing_one_is_the_default() {
        let read = |text: &str| toml::from_str::<Settings>(text);
        assert_eq!(read("").unwrap(), Settings::default());
        assert_eq!(
            read("[uids]\nfirst = 80000").unwrap().uids,
            Uids { first: 80_000, count: 10_000 }
        );
        assert!(read("[uids]\nfrist = 1").is_err());
        assert!(read("[uid]").is_err());
        assert!(read("[uids]\ncount = -1").is_err());
        assert!(read("[audit]\ndays = -1").is_err());
        let days = |days| Retention { days };
        assert_eq!(read("[audit]\ndays = 30").unwrap().audit, days(30));
        assert_eq!([1, 36_500].map(|it| days(it).check()), [Ok(()), Ok(())]);
        assert!([0, 36_501].iter().all(|it| days(*it).check().is_err()));
        assert_eq!(Retention::default().time(), sandboxd_audit::writer::KEEP);
    }
}
