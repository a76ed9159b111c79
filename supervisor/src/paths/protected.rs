//! Searching a writable tree for what the host may later execute.
//!
//! Before the run, so that it can be held; after it, so that what appeared can be named. The tree is
//! the agent's: entries are looked at with `O_NOFOLLOW`, nothing is read but directories, nothing is
//! waited for, and the search is bounded.

use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::{ProtectedFact, ProtectedKind};
use sandboxd_profiles::protect;

/// Entries looked at before the search gives up: some seconds' worth on a slow disk.
const MOST_ENTRIES: usize = 500_000;
/// Directories below one another.
const MOST_DEPTH: usize = 64;
/// Findings that are listed; a tree with more is reported as incomplete.
const MOST_FOUND: usize = 1_000;

/// What a search found.
#[derive(Debug, Default)]
pub struct Search {
    /// Protected paths, in path order.
    pub found: Vec<ProtectedFact>,
    /// Whether the whole tree was seen: not where a bound was reached, or a directory of the agent's
    /// could not be read.
    pub complete: bool,
}

/// Searches the tree `at`, which is opened already, for protected names.
#[must_use]
pub fn search(tree: &OwnedFd, at: &HostPath) -> Search {
    let mut search = Search { found: Vec::new(), complete: true };
    let mut seen = 0;
    let mut ahead = vec![String::new()];
    while let Some(folder) = ahead.pop() {
        let depth = folder.split('/').count();
        match entries(tree, &folder) {
            Ok(list) => {
                for (name, kind) in list {
                    seen += 1;
                    let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                    let protected = note(&mut search, at, &below, kind);
                    if kind == FileType::Directory && !protected {
                        ahead.push(below);
                    }
                }
            }
            // It went away, or was replaced, while we looked.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(_) => search.complete = false,
        }
        if seen > MOST_ENTRIES || depth > MOST_DEPTH || search.found.len() > MOST_FOUND {
            search.complete = false;
            break;
        }
    }
    search.found.sort_by(|one, other| one.path.cmp(&other.path));
    search
}

/// Takes a path into the findings where it is protected, and says whether it is.
fn note(search: &mut Search, at: &HostPath, below: &str, kind: FileType) -> bool {
    if protect::matches(below).is_none() {
        return false;
    }
    let kind = match kind {
        FileType::Directory => ProtectedKind::Directory,
        FileType::RegularFile => ProtectedKind::Regular,
        FileType::Symlink => ProtectedKind::Link,
        _ => ProtectedKind::Other,
    };
    match at.join(below) {
        Ok(path) => search.found.push(ProtectedFact { path, kind }),
        Err(_) => search.complete = false,
    }
    true
}

fn entries(tree: &OwnedFd, folder: &str) -> rustix::io::Result<Vec<(String, FileType)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = rustix::fs::ResolveFlags::BENEATH
        | rustix::fs::ResolveFlags::NO_SYMLINKS
        | rustix::fs::ResolveFlags::NO_MAGICLINKS;
    let path = if folder.is_empty() { "." } else { folder };
    let opened = rustix::fs::openat2(tree, path, flags, Mode::empty(), resolve)?;
    let mut list = Vec::new();
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        // A name that is not UTF-8 is none of those that are protected, and what lies below it is
        // not found by any program that looks for them either.
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                let stat = rustix::fs::statat(&opened, name, flags)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        list.push((name.to_owned(), kind));
    }
    Ok(list)
}
