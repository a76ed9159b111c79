//! What outlives a run: files in folders of the supervisor's own, beside the audit log. Each is replaced
//! whole, and says by a digest that it is whole; one that is not is refused, because what it held was there
//! to be held to. What a killed supervisor was about to put in the place of one is overwritten by whoever does so
//! next, and removed by `sandboxd doctor --clean`.

mod limits;
mod pins;

pub(crate) use limits::Limits;
pub(crate) use pins::{Pinned, Pins, Server, Servers, server_key};

use crate::audit_folder;
use crate::kept;
use crate::lease::RunDir;
use crate::sandbox::StartError;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, ResolveFlags, flock, openat2, renameat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read as _, Write as _};

/// What killed supervisors were about to put in the place of files, and of the last run that is kept, by its path;
/// with `remove` each is gone, or why it is not. In a folder that somebody has, it may be that one's.
pub(crate) fn left(remove: bool) -> Vec<(String, Result<(), StartError>)> {
    let held = [limits::FOLDER, pins::FOLDER, kept::FOLDER].into_iter().filter_map(Held::free);
    let mut left = Vec::new();
    for held in held {
        let names = match held.partial() {
            Ok(names) => names,
            Err(error) => {
                left.push((held.path(""), Err(error)));
                continue;
            }
        };
        for name in names {
            left.push((held.path(&name), if remove { held.remove(&name) } else { Ok(()) }));
        }
    }
    left
}

/// The longest file.
const LONGEST: u64 = 1 << 20;

/// What the name of a file begins with that is not whole yet.
const PARTIAL: char = '.';

/// What the name of a file ends with whose lock says that a run has the file that it is named after. It stays, so that
/// whoever opened it holds the lock that everybody else tries.
const LOCK: &str = ".lock";

/// A folder of them, which nobody else has at the same time.
#[derive(Debug)]
struct Held {
    folder: RunDir,
}

impl Held {
    /// The folder of this name, made where it is not there yet. Waits for whoever has it.
    fn open(name: &str) -> Result<Self, StartError> {
        let folder = audit_folder::beside(name)?;
        flock(folder.as_fd(), FlockOperation::LockExclusive)
            .map_err(|errno| StartError::call("flock", folder.label(), errno))?;
        Ok(Self { folder })
    }

    /// The folder of this name where it is there and nobody has it.
    fn free(name: &str) -> Option<Self> {
        let state = audit_folder::state().ok()?;
        state.join(name).symlink_metadata().ok()?;
        let folder = RunDir::at(&state, name).ok()?;
        flock(folder.as_fd(), FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self { folder })
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.label())
    }

    /// The names of the files in it.
    fn names(&self) -> Result<Vec<String>, StartError> {
        let mut names = self.entries()?;
        names.retain(|name| !name.starts_with(PARTIAL));
        Ok(names)
    }

    /// The names of what was not put in its place.
    fn partial(&self) -> Result<Vec<String>, StartError> {
        let mut names = self.entries()?;
        let other = |name: &str| matches!(name, "." | "..") || name.ends_with(LOCK);
        names.retain(|name| name.starts_with(PARTIAL) && !other(name));
        Ok(names)
    }

    fn entries(&self) -> Result<Vec<String>, StartError> {
        let failed = |errno| StartError::call("getdents64", self.folder.label(), errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            names.extend(entry.file_name().to_str().ok().map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A file that is there.
    fn file(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.folder, name, flags, Mode::empty(), resolve)
    }

    /// What is in a file; nothing where there is none.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StartError> {
        let file = match self.file(name, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(StartError::call("openat2", self.path(name), errno)),
        };
        let mut bytes = Vec::new();
        let read = File::from(file).take(LONGEST + 1).read_to_end(&mut bytes);
        read.map_err(|error| StartError::io("read", self.path(name), &error))?;
        Ok(Some(bytes))
    }

    /// Gives a file new content, or leaves it as it was. It is on the disk afterwards.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StartError> {
        let failed = |call| move |errno| StartError::call(call, self.path(name), errno);
        // Whoever was killed here has left it behind; nobody else is here.
        let partial = format!("{PARTIAL}{name}");
        let flags = OFlags::WRONLY | OFlags::TRUNC;
        let file = self.folder.file(&partial, flags)?;
        let mut file = File::from(file);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|error| StartError::io("write", self.path(name), &error))?;
        renameat(&self.folder, &partial, &self.folder, name).map_err(failed("renameat"))?;
        rustix::fs::fsync(self.folder.as_fd()).map_err(failed("fsync"))
    }

    fn remove(&self, name: &str) -> Result<(), StartError> {
        rustix::fs::unlinkat(&self.folder, name, rustix::fs::AtFlags::empty())
            .map_err(|errno| StartError::call("unlinkat", self.path(name), errno))
    }
}
