//! The folder of one run for temporary files, where there is no view of its own to have them in.
//!
//! It lies in the caller's folder for such files by a name that nobody can guess, belongs to the command
//! alone, and is removed at the end. What the command left in it is taken apart without following a link
//! and without depth: a folder in a folder is first moved to the top. A lock says that its run lives;
//! what a killed supervisor left is removed by the next one.

use super::error::StartError;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, chmod, fchmod, flock,
    fstat, ftruncate, mkdirat, openat, openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use sandboxd_audit::encode::hex;
use sandboxd_plan::HostPath;
use sandboxd_profiles::resolved::Private;
use std::ffi::CString;
use std::time::Duration;

/// What the names of these folders begin with.
const PREFIX: &str = "sandboxd-run-";
/// How often one is made again that was taken for an old one, and what is waited for each time.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);
const REMEDY: &str =
    "set TMPDIR to a folder on a writable disk that only you may write, or that has the sticky bit";

/// A folder that was made.
pub(crate) struct Made {
    parent: OwnedFd,
    name: String,
    /// Holds the lock.
    folder: OwnedFd,
}

/// A name for such a folder, which nothing has yet.
///
/// # Errors
/// Where the folder for temporary files has no path that a plan can name.
pub(crate) fn name() -> Result<HostPath, StartError> {
    let mut random = [0_u8; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| StartError::call("getrandom", "name", errno))?;
    let random = hex(&random);
    let parent = std::env::temp_dir();
    let found = |what: String| StartError::found("realpath", what).with_remedy(REMEDY);
    let real = std::fs::canonicalize(&parent)
        .map_err(|error| found(format!("{}: {error}", parent.display())))?;
    real.to_str()
        .and_then(|real| HostPath::try_from(real).ok())
        .and_then(|real| real.join(&format!("{PREFIX}{random}")).ok())
        .ok_or_else(|| found(parent.display().to_string()))
}

/// Makes it, and what lies in it.
///
/// # Errors
/// Where one of these cannot be made; then nothing is left of it.
pub(crate) fn make(plan: &Private) -> Result<Made, StartError> {
    let (parent, name) = plan
        .folder
        .as_str()
        .rsplit_once('/')
        .ok_or_else(|| StartError::found("mkdirat", plan.folder.as_str()))?;
    let parent = if parent.is_empty() { "/" } else { parent };
    let failed = |call| {
        let subject = plan.folder.as_str().to_owned();
        move |errno| StartError::call(call, subject, errno).with_remedy(REMEDY)
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let parent = openat2(CWD, parent, flags, Mode::empty(), resolve).map_err(failed("openat2"))?;
    // What resists is told by `doctor`, not by those who come after.
    drop(left_in(&parent, true));
    let folder = held(&parent, name).map_err(failed("mkdirat"))?;
    let made = Made { parent, name: name.to_owned(), folder };
    match fill(&made.folder, plan) {
        Ok(()) => Ok(made),
        Err(errno) => {
            made.remove()?;
            Err(failed("openat")(errno))
        }
    }
}

/// Makes it and takes its lock. Between the two it looks like what a killed supervisor left, and another run that
/// starts at this moment may remove it: then it is made again. Or `doctor` looks at it, and lets it be.
fn held(parent: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let mut tries = 0;
    loop {
        match new(parent, name, tries > 0) {
            // The other has not done with it yet.
            Err(Errno::NOENT | Errno::AGAIN) => {}
            made => return made,
        }
        tries += 1;
        if tries == TRIES {
            return Err(Errno::BUSY);
        }
        std::thread::sleep(PAUSE);
    }
}

fn new(parent: &OwnedFd, name: &str, again: bool) -> rustix::io::Result<OwnedFd> {
    let made = mkdirat(parent, name, Mode::RWXU);
    if !(again && made == Err(Errno::EXIST)) {
        made?;
    }
    let folder = open(parent.as_fd(), name)?;
    // It need not be the one that was made before.
    if !is_own(&folder) {
        return Err(Errno::EXIST);
    }
    lock(parent, name, &folder)?;
    Ok(folder)
}

/// Whether it is this user's alone.
fn is_own(folder: &OwnedFd) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fstat(folder).is_ok_and(|stat| stat.st_uid == own && stat.st_mode & 0o077 == 0)
}

/// Takes the lock of a folder that is still there.
///
/// # Errors
/// `EAGAIN` where somebody has it, `ENOENT` where whoever had it before has removed the folder.
fn lock(parent: &OwnedFd, name: &str, folder: &OwnedFd) -> rustix::io::Result<()> {
    flock(folder, FlockOperation::NonBlockingLockExclusive)?;
    let (ours, there) = (fstat(folder)?, statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?);
    let is_there = (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino);
    if is_there { Ok(()) } else { Err(Errno::NOENT) }
}

fn fill(folder: &OwnedFd, plan: &Private) -> rustix::io::Result<()> {
    let last = |path: &HostPath| path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    for scratch in &plan.scratch {
        mkdirat(folder, last(scratch), Mode::RWXU)?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let canary = openat(folder, last(&plan.canary), flags, Mode::empty())?;
    ftruncate(&canary, 1)?;
    // Whatever refuses it is no permission.
    fchmod(&canary, Mode::from_raw_mode(0o666))
}

impl Made {
    /// Removes it, and all that is in it. Nobody of the sandbox may be alive.
    ///
    /// # Errors
    /// Where something in it resists, which takes another user or a broken disk.
    pub(crate) fn remove(self) -> Result<(), StartError> {
        empty(&self.folder)
            .and_then(|()| unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR))
            .map_err(|errno| {
                StartError::call("unlinkat", self.name, errno)
                    .with_remedy("remove it by hand; find out who else has files in it")
            })
    }
}

/// What runs left in the caller's folder for temporary files whose supervisor was killed, by its path; with `remove`
/// each is gone, or why it is not.
pub(crate) fn left(remove: bool) -> Vec<(String, Result<(), StartError>)> {
    let parent = std::env::temp_dir();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(opened) = rustix::fs::open(&parent, flags, Mode::empty()) else { return Vec::new() };
    let left = left_in(&opened, remove).into_iter();
    left.map(|(name, gone)| (parent.join(name).display().to_string(), gone)).collect()
}

/// The same in one folder. The lock of those that live is taken.
fn left_in(parent: &OwnedFd, remove: bool) -> Vec<(String, Result<(), StartError>)> {
    let mut left = Vec::new();
    for name in names(parent).unwrap_or_default() {
        let Some(name) = name.to_str().ok().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let Ok(folder) = open(parent.as_fd(), name) else { continue };
        if !is_own(&folder) || lock(parent, name, &folder).is_err() {
            continue;
        }
        let Ok(parent) = parent.try_clone() else { continue };
        let made = Made { parent, name: name.to_owned(), folder };
        let gone = if remove { made.remove() } else { Ok(()) };
        left.push((name.to_owned(), gone));
    }
    left
}

/// Removes everything below a folder, with two descriptors whatever its depth.
fn empty(top: &OwnedFd) -> rustix::io::Result<()> {
    let mut moved: u64 = 0;
    loop {
        let mut folders = Vec::new();
        for name in names(top)? {
            if is_folder(top, &name)? {
                folders.push(name);
            } else {
                unlinkat(top, &name, AtFlags::empty())?;
            }
        }
        if folders.is_empty() {
            return Ok(());
        }
        for name in folders {
            flatten(top, &name, &mut moved)?;
            unlinkat(top, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Removes the files in a folder, and moves the folders in it up.
fn flatten(top: &OwnedFd, name: &CString, moved: &mut u64) -> rustix::io::Result<()> {
    let folder = enter(top, name)?;
    for inner in names(&folder)? {
        if !is_folder(&folder, &inner)? {
            unlinkat(&folder, &inner, AtFlags::empty())?;
            continue;
        }
        // To move a folder takes the right to write it, too.
        drop(enter(&folder, &inner)?);
        loop {
            *moved += 1;
            let free = format!("moved-{moved}");
            match statat(top, &free, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => break renameat(&folder, &inner, top, &free)?,
                Ok(_) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

/// A folder, which is given the permissions that it takes to empty it.
fn enter(parent: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let seen = openat(parent, name, flags, Mode::empty())?;
    if fstat(&seen)?.st_mode & 0o700 != 0o700 {
        // By the descriptor: chmod(2) on a name would follow a link.
        chmod(format!("/proc/self/fd/{}", seen.as_raw_fd()), Mode::RWXU)?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn is_folder(parent: &OwnedFd, name: &CString) -> rustix::io::Result<bool> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

fn open(parent: rustix::fd::BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(parent, name, flags, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn what_another_start_takes_for_old_is_made_again() {
        let path = std::env::temp_dir().join(format!("sandboxd-private-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Other starts, and a `doctor` that only looks.
            for remove in [true, true, false] {
                let (over, parent) = (&over, &parent);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        drop(left_in(parent, remove));
                    }
                });
            }
            for number in 0..300 {
                let name = format!("{PREFIX}{number}");
                let made = held(&parent, &name).and_then(|folder| {
                    mkdirat(&folder, "scratch", Mode::RWXU)?;
                    Ok(Made { parent: parent.try_clone().unwrap(), name, folder })
                });
                let removed = made.map(Made::remove);
                if !matches!(removed, Ok(Ok(()))) {
                    over.store(true, Ordering::Relaxed);
                }
                assert!(matches!(removed, Ok(Ok(()))), "{number}: {removed:?}");
            }
            over.store(true, Ordering::Relaxed);
        });
        std::fs::remove_dir(path).unwrap();
    }
}
