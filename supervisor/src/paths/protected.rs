//! Searching a writable tree for what the host may later execute, and for sockets of the host's.
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
use std::collections::VecDeque;

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
    /// could not be read or has a name that is not UTF-8.
    pub complete: bool,
    /// Whether a bound was reached, so that there may be any number of further findings.
    pub cut_short: bool,
}

/// Searches the tree `at`, which is opened already, for protected names.
#[must_use]
pub fn search(tree: &OwnedFd, at: &HostPath) -> Search {
    let mut search = Search { complete: true, ..Search::default() };
    let mut seen = 0;
    // What lies near the top first: a command that wants to use up the bounds must not be able to put
    // anything before what its owner put there.
    let mut ahead = VecDeque::from([String::new()]);
    while let Some(folder) = ahead.pop_front() {
        let deep = folder.split('/').count() >= MOST_DEPTH;
        match entries(tree, &folder, MOST_ENTRIES.saturating_sub(seen)) {
            Ok(Listed { names, whole, read }) => {
                search.complete &= whole;
                seen += read;
                let repository = protect::is_repository(names.iter().map(|(name, _)| &**name));
                for (name, kind) in names {
                    let inner = repository && protect::of_repository(&name);
                    let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                    let protected = inner || is_protected(&below, kind);
                    if protected || kind == FileType::Socket {
                        let linked = is_linked(tree, &below, kind);
                        note(&mut search, at.join(&below).ok(), kind, linked);
                    }
                    if kind == FileType::Directory && !protected {
                        search.complete &= !deep;
                        ahead.extend((!deep).then_some(below));
                    }
                }
            }
            // It went away, or was replaced, while we looked.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(_) => search.complete = false,
        }
        if seen >= MOST_ENTRIES || search.found.len() > MOST_FOUND {
            search.complete = false;
            search.cut_short = true;
            break;
        }
    }
    search.found.sort_by(|one, other| one.path.cmp(&other.path));
    search
}

fn is_protected(below: &str, kind: FileType) -> bool {
    let elsewhere = kind != FileType::Directory && protect::leads_elsewhere(below);
    elsewhere || protect::matches(below).is_some()
}

/// Whether a file, or one in a folder of hooks, has a second name. What cannot be looked at may.
fn is_linked(tree: &OwnedFd, below: &str, kind: FileType) -> bool {
    let has_names = |path: &str| {
        let file = super::open(tree, path).and_then(rustix::fs::fstat);
        file.map_or(true, |stat| stat.st_nlink > 1)
    };
    if kind == FileType::Directory {
        return entries(tree, below, MOST_FOUND).map_or(true, |listed| {
            if !listed.whole {
                return true;
            }
            let mut files = listed.names.iter().filter(|(_, kind)| *kind == FileType::RegularFile);
            files.any(|(name, _)| has_names(&format!("{below}/{name}")))
        });
    }
    kind == FileType::RegularFile && has_names(below)
}

/// Takes a path into the findings.
fn note(search: &mut Search, path: Option<HostPath>, kind: FileType, linked: bool) {
    let kind = match kind {
        FileType::Directory => ProtectedKind::Directory,
        FileType::RegularFile => ProtectedKind::Regular,
        FileType::Symlink => ProtectedKind::Link,
        FileType::Socket => ProtectedKind::Socket,
        FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
            ProtectedKind::Other
        }
    };
    match path {
        Some(path) => search.found.push(ProtectedFact { path, kind, linked }),
        None => search.complete = false,
    }
}

/// What lies in a folder.
struct Listed {
    names: Vec<(String, FileType)>,
    /// Whether these are all, and the names of all folders in it are UTF-8, so that they can be
    /// searched too.
    whole: bool,
    /// How many entries were read.
    read: usize,
}

/// Reads a folder, `most` entries of it: the agent decides how many there are.
fn entries(tree: &OwnedFd, folder: &str, most: usize) -> rustix::io::Result<Listed> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = rustix::fs::ResolveFlags::BENEATH
        | rustix::fs::ResolveFlags::NO_SYMLINKS
        | rustix::fs::ResolveFlags::NO_MAGICLINKS;
    let path = if folder.is_empty() { "." } else { folder };
    let opened = rustix::fs::openat2(tree, path, flags, Mode::empty(), resolve)?;
    let mut listed = Listed { names: Vec::new(), whole: true, read: 0 };
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        listed.read += 1;
        if listed.read > most {
            listed.whole = false;
            break;
        }
        // A name that is not UTF-8 is none of those that are protected, but one of them may lie below
        // it, and no plan can name that.
        let Ok(name) = entry.file_name().to_str() else {
            listed.whole &= entry.file_type() == FileType::RegularFile;
            continue;
        };
        if matches!(name, "." | "..") {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            kind = FileType::from_raw_mode(rustix::fs::statat(&opened, name, flags)?.st_mode);
        }
        listed.names.push((name.to_owned(), kind));
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn found_in(tree: &std::path::Path) -> Search {
        let at = HostPath::try_from(tree.to_str().unwrap()).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        search(&rustix::fs::open(tree, flags, Mode::empty()).unwrap(), &at)
    }

    #[test]
    fn what_is_too_deep_hides_nothing_else_and_is_told() {
        let tree = std::env::temp_dir().join(format!("sandboxd-search-{}", std::process::id()));
        fs::create_dir_all(tree.join("m/.git/hooks")).unwrap();
        fs::create_dir_all(tree.join("bare/objects")).unwrap();
        fs::create_dir_all(tree.join("bare/refs")).unwrap();
        for file in ["bare/HEAD", "bare/config", "m/.git/config", "plain", "m/config"] {
            fs::write(tree.join(file), "").unwrap();
        }
        fs::write(tree.join(".git"), "gitdir: bare").unwrap();
        let before = found_in(&tree);
        for name in ["a", "z"] {
            fs::create_dir_all(tree.join(vec![name; MOST_DEPTH + 2].join("/"))).unwrap();
        }
        let after = found_in(&tree);
        fs::remove_dir_all(&tree).unwrap();
        let names = |search: &Search| -> Vec<String> {
            let below = |fact: &ProtectedFact| fact.path.to_string();
            search.found.iter().map(below).collect()
        };
        let wanted = [".git", "bare/config", "m/.git/config", "m/.git/hooks"];
        let wanted = wanted.map(|name| tree.join(name).display().to_string());
        assert_eq!(names(&before), wanted);
        assert_eq!(names(&after), wanted);
        assert!(before.complete && !after.complete);
    }

    #[test]
    fn a_second_name_is_seen_on_a_setting_and_on_a_hook() {
        let tree = std::env::temp_dir().join(format!("sandboxd-linked-{}", std::process::id()));
        fs::create_dir_all(tree.join(".git/hooks")).unwrap();
        for file in [".git/config", ".git/hooks/post-commit", ".envrc"] {
            fs::write(tree.join(file), "").unwrap();
        }
        let alone = found_in(&tree);
        for (file, second) in
            [(".git/config", "1"), (".git/hooks/post-commit", "2"), (".envrc", "3")]
        {
            fs::hard_link(tree.join(file), tree.join(second)).unwrap();
        }
        let linked = found_in(&tree);
        fs::remove_dir_all(&tree).unwrap();
        let flags = |search: &Search| -> Vec<bool> {
            search.found.iter().map(|fact| fact.linked).collect()
        };
        assert_eq!(flags(&alone), [false; 3]);
        // .envrc, .git/config, .git/hooks
        assert_eq!(flags(&linked), [true; 3]);
    }
}
