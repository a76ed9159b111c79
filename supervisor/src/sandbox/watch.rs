//! What in the writable trees the host may execute after the run: what appeared, and, where nothing could
//! be held, what was changed.

use crate::paths::{self, protected};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::{ProtectedFact, ProtectedKind};
use sandboxd_profiles::protect;
use sandboxd_profiles::resolved::{Outside, Watched};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Protected paths before the run, by what the kernel says of each: no program can set the time of the
/// last change of a file.
pub(crate) struct Before(BTreeMap<HostPath, Version>);

/// Of inodes and the times of their last change, for a folder those in it included.
type Version = u64;

/// What stands before a place and why, where what appeared there is not known.
pub(crate) const NOT_LOOKED_THROUGH: &str = "not looked through: ";

/// What stands before a folder of which the command chose who may use what is made in it from now on.
pub(crate) const OPENED: &str = "default ACL: ";

/// What stands before a path that was kept as it is, and that the next run would not keep: what made it one of those that
/// are, as `HEAD` makes a folder a repository, was taken away.
pub(crate) const NOT_KEPT_AGAIN: &str = "not kept again: ";

/// Entries of one protected folder that are looked at; hooks are a few dozen.
const MOST: usize = 10_000;

/// Looks at what is there, where nothing of it is held.
pub(crate) fn before(outside: &Outside) -> Before {
    let mut before = BTreeMap::new();
    let until = protected::until();
    for Watched { tree, .. } in outside.watched.iter().filter(|_| outside.private.is_some()) {
        let Ok(opened) = open(tree) else { continue };
        for found in protected::search(&opened, tree, until).found {
            before.extend(version(&opened, tree, &found.path).map(|version| (found.path, version)));
        }
    }
    Before(before)
}

fn open(tree: &HostPath) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty())?;
    paths::open(&root, tree.as_str())
}

fn is_there(opened: &OwnedFd, tree: &HostPath, path: &HostPath) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    path.below(tree).is_some_and(|below| rustix::fs::statat(opened, below, flags).is_ok())
}

fn version(opened: &OwnedFd, tree: &HostPath, path: &HostPath) -> Option<Version> {
    let mut ahead = vec![path.below(tree)?.to_owned()];
    let mut hasher = DefaultHasher::new();
    let mut entries = 0;
    while let Some(below) = ahead.pop() {
        let stat = rustix::fs::statat(opened, &below, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        (&below, stat.st_ino, stat.st_ctime, stat.st_ctime_nsec).hash(&mut hasher);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::openat(opened, &below, flags, Mode::empty()).ok()?;
            let mut names = Vec::new();
            for entry in Dir::read_from(&folder).ok()? {
                entries += 1;
                // What cannot be looked at whole counts as changed. How much there is the command says.
                if entries > MOST {
                    return None;
                }
                let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
                names.extend((name != "." && name != "..").then(|| format!("{below}/{name}")));
            }
            names.sort_unstable();
            ahead.extend(names);
        }
    }
    Some(hasher.finish())
}

/// Protected paths that are there now and were not held, or not the same before, in words.
pub(crate) fn appeared(trees: &[Watched], before: &Before) -> Vec<String> {
    let mut appeared = Vec::new();
    let until = protected::until();
    for Watched { tree, held, acls } in trees {
        let Ok(opened) = open(tree) else {
            appeared.push(format!("{NOT_LOOKED_THROUGH}{tree}: it could not be opened"));
            continue;
        };
        let search = protected::search(&opened, tree, until);
        // A socket or a pipe is looked for under any name, but is named only where the name is protected.
        let named = |found: &&ProtectedFact| {
            !matches!(found.kind, ProtectedKind::Socket | ProtectedKind::Pipe)
                || protect::matches(found.path.as_str())
        };
        let known = |path: &HostPath| {
            let old = before.0.get(path);
            held.contains(path) || old.is_some_and(|old| version(&opened, tree, path) == Some(*old))
        };
        let new = search.found.iter().filter(named).filter(|found| !known(&found.path));
        appeared.extend(new.map(|found| found.path.to_string()));
        let found: BTreeSet<&HostPath> = search.found.iter().map(|found| &found.path).collect();
        let left_out = |path: &&HostPath| !found.contains(path) && is_there(&opened, tree, path);
        let unkept = held.iter().filter(|_| search.complete).filter(left_out);
        appeared.extend(unkept.map(|path| format!("{NOT_KEPT_AGAIN}{path}")));
        // One that is anywhere in it already is its owner's, and inherited by what is made below.
        for (_, (folder, folders)) in search.acls.iter().filter(|(acl, _)| !acls.contains(*acl)) {
            let more = match folders - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            appeared.push(format!("{OPENED}{folder}{more}"));
        }
        if !search.complete {
            let why = search.why.unwrap_or_else(|| tree.to_string());
            appeared.push(format!("{NOT_LOOKED_THROUGH}{why}"));
        }
    }
    // What lies in two trees is found in both.
    let mut told = BTreeSet::new();
    appeared.retain(|path| told.insert(path.clone()));
    appeared
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_with_more_than_is_looked_at_counts_as_changed() {
        let path = std::env::temp_dir().join(format!("sandboxd-watch-{}", std::process::id()));
        let hooks = path.join("hooks");
        fs::create_dir_all(&hooks).unwrap();
        let tree = HostPath::try_from(path.to_str().unwrap()).unwrap();
        let opened = open(&tree).unwrap();
        let version = || version(&opened, &tree, &tree.join("hooks").unwrap());
        // Two of them are the folder itself and the one around it.
        for number in 2..MOST {
            fs::write(hooks.join(number.to_string()), "").unwrap();
        }
        let whole = version();
        fs::write(hooks.join("more"), "").unwrap();
        let more = version();
        fs::remove_dir_all(&path).unwrap();
        assert!(whole.is_some() && more.is_none());
    }
}
