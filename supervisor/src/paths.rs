//! Looking at paths of the host: what is there, which links lie on the way, and what in a writable
//! tree the host may later execute.
//!
//! As root on trees that others write: every step is relative to a descriptor, no link is followed
//! that was not looked at, and nothing is opened but for its name (`O_PATH`) or its entries.

use crate::sandbox::doing;
use mounts::Mounts;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sandboxd_plan::{HostPath, Inode};
use sandboxd_profiles::host::{Elsewhere, FileKind, Found, Link, PathFact};
use sandboxd_profiles::{SYSTEM, Wanted};
use std::collections::BTreeMap;
use std::time::Instant;
use walked::Walked;

mod disks;
mod links;
mod listed;
mod mounts;
mod names;
pub mod protected;
mod seen;
mod walked;

pub use disks::disks;
pub use seen::see;

/// As many links as the kernel follows, path_resolution(7).
const MOST_LINKS: usize = 40;

/// Links of the system outside of those trees: names that a folder had before it was moved to `/run`, hier(7).
const MOVED: &[&str] = &["/var/run", "/var/lock"];

/// What is at each path that a profile names.
pub(crate) fn look(wanted: &Wanted) -> BTreeMap<HostPath, PathFact> {
    let Ok(root) = open_root() else {
        return BTreeMap::new();
    };
    let mut walked = Walked::from(root);
    let mounts = Mounts::read();
    let mut looked = BTreeMap::new();
    let until = protected::until();
    // What must be held first: the search of a hidden folder takes none of its time.
    let others = wanted.paths.difference(&wanted.writable);
    for path in wanted.writable.iter().chain(others) {
        doing(format!("looking at {}", path.as_str()));
        let writable = wanted.writable.contains(path).then_some(until);
        let found = find(&mut walked, path, writable).and_then(|mut found| {
            let mounts = mounts.as_ref().map_err(|errno| *errno)?;
            found.doors = mounts.doors(&found.real);
            found.also = mounts.also(&found.real);
            if wanted.hidden.contains(path) {
                found.elsewhere = elsewhere(&mut walked, mounts, &found.real)?;
                if found.kind == FileKind::Directory {
                    let folder = open(&walked.root, found.real.as_str())?;
                    found.shown_by = names::shown_by(&folder, until);
                }
            }
            Ok(found)
        });
        let fact = match found {
            Ok(found) => PathFact::Found(found),
            Err(Errno::NOENT | Errno::NOTDIR) => PathFact::Missing,
            Err(errno) => PathFact::Failed(errno.raw_os_error()),
        };
        looked.insert(path.clone(), fact);
    }
    looked
}

/// The links in `/` into another tree, such as `/bin` to `usr/bin`.
#[must_use]
pub fn top_links() -> BTreeMap<HostPath, String> {
    let Ok(root) = open_root() else {
        return BTreeMap::new();
    };
    ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]
        .iter()
        .filter_map(|name| {
            let target = rustix::fs::readlinkat(&root, *name, Vec::new()).ok()?;
            let path = HostPath::try_from(format!("/{name}")).ok()?;
            Some((path, target.into_string().ok()?))
        })
        .collect()
}

fn open_root() -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, "/", flags, Mode::empty())
}

/// What is at a path; until when it is searched, where it may be written.
fn find(
    walked: &mut Walked,
    path: &HostPath,
    writable: Option<Instant>,
) -> rustix::io::Result<Found> {
    let straight = match writable {
        // What is searched is the very tree that is looked at.
        Some(_) => open(&walked.root, path.as_str())
            .and_then(|file| Ok((rustix::fs::fstat(&file)?, Some(file)))),
        None => walked.stat(path).map(|stat| (stat, None)),
    };
    let ((stat, file), real, links) = match straight {
        Ok(seen) => (seen, path.clone(), Vec::new()),
        Err(Errno::LOOP) => {
            let (file, real, links) = follow(walked, path)?;
            ((rustix::fs::fstat(&file)?, Some(file)), real, links)
        }
        Err(errno) => return Err(errno),
    };
    let kind = kind(&stat);
    let search = match (writable, &file) {
        (Some(until), Some(file)) if kind == FileKind::Directory => {
            protected::search(file, &real, until)
        }
        _ => protected::Search { complete: true, ..protected::Search::default() },
    };
    Ok(Found {
        kind,
        real,
        links,
        uid: stat.st_uid,
        gid: stat.st_gid,
        inode: Inode { device: stat.st_dev, number: stat.st_ino },
        mode: stat.st_mode & 0o7777,
        links_count: stat.st_nlink,
        protected: search.found,
        searched: search.complete,
        blind: search.blind,
        acls: search.acls.into_keys().collect(),
        shown_by: None,
        doors: Vec::new(),
        elsewhere: Vec::new(),
        also: Vec::new(),
    })
}

/// Where else the host's mounts show what is at a path without links.
fn elsewhere(
    walked: &mut Walked,
    mounts: &Mounts,
    path: &HostPath,
) -> rustix::io::Result<Vec<Elsewhere>> {
    let places = mounts.elsewhere(path).into_iter();
    let seen = places.map(|path| match walked.stat(&path) {
        Ok(stat) => Ok(Some(Elsewhere { path, kind: kind(&stat) })),
        // Who may not go there, as an ordinary user, cannot show it either.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(errno) => Err(errno),
    });
    seen.filter_map(Result::transpose).collect()
}

/// Opens a path that has no link in it, for its name only.
pub(crate) fn open(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    at(root, path, OFlags::empty())
}

/// The same, where the last name may be a link: then it is the link that is opened.
fn with_the_link(root: &OwnedFd, path: &str) -> rustix::io::Result<OwnedFd> {
    at(root, path, OFlags::NOFOLLOW)
}

fn at(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let below = match path.trim_start_matches('/') {
        "" => ".",
        below => below,
    };
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
    rustix::fs::openat2(root, below, flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Walks a path component by component and notes every link on the way.
fn follow(
    walked: &mut Walked,
    path: &HostPath,
) -> rustix::io::Result<(OwnedFd, HostPath, Vec<Link>)> {
    let mut links = Vec::new();
    // The part that is known to have no link in it, and what is still to be walked.
    let mut so_far = HostPath::try_from("/").map_err(|_| Errno::INVAL)?;
    let mut ahead: Vec<String> = components(path.as_str());
    while let Some(name) = ahead.pop() {
        if name == ".." {
            so_far = so_far.parent().unwrap_or(so_far);
            continue;
        }
        let next = so_far.join(&name).map_err(|_| Errno::NAMETOOLONG)?;
        let parent = walked.walk(so_far.clone())?;
        let stat = rustix::fs::statat(parent, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            so_far = next;
            continue;
        }
        if links.len() == MOST_LINKS {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(parent, name.as_str(), Vec::new())?;
        let target = target.into_string().map_err(|_| Errno::ILSEQ)?;
        let trusted = is_trusted(walked, &next, &stat)?;
        ahead.extend(components(&target));
        if target.starts_with('/') {
            so_far = HostPath::try_from("/").map_err(|_| Errno::INVAL)?;
        }
        links.push(Link { path: next, target, trusted });
    }
    Ok((open(&walked.root, so_far.as_str())?, so_far, links))
}

/// The components of a path, last first.
fn components(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).rev().map(str::to_owned).collect()
}

/// Whether a link belongs to the system: it lies in `/`, or in a tree that no sandbox may write without a reason, and
/// root owns it, and nobody but root may write any directory above it. A link anywhere else may have been planted by a
/// sandbox that could write there, whoever owns it: what one makes in root's folder is root's.
fn is_trusted(walked: &mut Walked, path: &HostPath, link: &Stat) -> rustix::io::Result<bool> {
    let is_top = path.parent().is_some_and(|parent| parent.as_str() == "/");
    let within = |tree: &&str| HostPath::try_from(*tree).is_ok_and(|tree| path.is_within(&tree));
    let is_systems = is_top || MOVED.contains(&path.as_str()) || SYSTEM.iter().any(within);
    if !is_systems || link.st_uid != 0 {
        return Ok(false);
    }
    let mut above = path.parent();
    while let Some(directory) = above {
        let stat = walked.stat(&directory)?;
        if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
            return Ok(false);
        }
        above = directory.parent();
    }
    Ok(true)
}

fn kind(stat: &Stat) -> FileKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => FileKind::Directory,
        FileType::CharacterDevice => FileKind::Character,
        FileType::BlockDevice => FileKind::Block,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::RegularFile | FileType::Symlink | FileType::Unknown => FileKind::Regular,
    }
}
