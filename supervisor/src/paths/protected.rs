//! Searching a writable tree for what the host may later execute, and for sockets of the host's.
//!
//! Before the run, so that it can be held; after it, so that what appeared can be named. The tree is
//! the agent's: entries are looked at with `O_NOFOLLOW`, nothing is read but directories, nothing is
//! waited for, and the search is bounded.

use super::links;
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::{ProtectedFact, ProtectedKind};
use sandboxd_profiles::protect::{self, Along, Step};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Entries looked at before the search gives up: some seconds' worth on a slow disk.
pub(super) const MOST_ENTRIES: usize = 500_000;
/// Directories below one another.
const MOST_DEPTH: usize = 64;
/// Findings that are listed; a tree with more is reported as incomplete.
const MOST_FOUND: usize = 1_000;
/// Bytes of paths that are kept, of what was found and of folders that are still to be searched: the memory is the
/// supervisor's, no limit of the command's counts it, and a command can make its folders deep and their names long. A tree
/// that somebody works in has a tenth of it.
pub(super) const MOST_KEPT: usize = 16 << 20;
/// Bytes of the names in one folder, which are kept while it is looked at: as many entries of 64 bytes each.
const MOST_LISTED: usize = MOST_ENTRIES * 64;
/// How long all trees together are searched at a start, or at an end: twice that is well within the time that a start may take,
/// so that a command which makes its tree slow to search is told of, and not a disk that does not answer.
const MOST_TIME: Duration = Duration::from_secs(10);

/// When all searches that begin now are over, whatever there is left to search.
#[must_use]
pub fn until() -> Instant {
    Instant::now() + MOST_TIME
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Search {
    /// Protected paths, in path order.
    pub found: Vec<ProtectedFact>,
    /// The default ACLs of its folders, each with the topmost that has it and how many have: what anybody makes in
    /// such a folder is opened by it, whatever the umask says, acl(5).
    pub acls: BTreeMap<Vec<u8>, (HostPath, usize)>,
    /// Whether the whole tree was seen: not where a bound was reached, or a directory of the agent's
    /// could not be read or has a name that is not UTF-8.
    pub complete: bool,
    /// Whether a bound was reached, so that there may be any number of further findings.
    pub cut_short: bool,
    /// Why not the whole tree was seen, of the first thing that was not.
    pub why: Option<String>,
}

impl Search {
    fn missed(&mut self, why: impl FnOnce() -> String) {
        self.complete = false;
        self.why.get_or_insert_with(why);
    }
}

/// Searches the tree `at`, which is opened already, for protected names, [`until`] then at most.
#[must_use]
pub fn search(tree: &OwnedFd, at: &HostPath, until: Instant) -> Search {
    let search = Search { complete: true, ..Search::default() };
    let mut walk = Walk {
        tree,
        at,
        until,
        search,
        ahead: VecDeque::new(),
        led_to: BTreeSet::new(),
        seen: 0,
        kept: 0,
    };
    // What lies near the top first: a command that wants to use up the bounds must not be able to put
    // anything before what its owner put there.
    let mut next = Some(Folder { path: String::new(), led: None });
    while let Some(folder) = next {
        match entries(tree, &folder.path, walk.room()) {
            Ok(listed) => match &folder.led {
                None => walk.take(&folder.path, listed),
                Some(along) => walk.take_led(&folder.path, along, listed),
            },
            // It went away, or was replaced, while we looked.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => {
                let place = walk.place(&folder.path, "");
                let errno = crate::explain::errno(errno.raw_os_error());
                walk.search.missed(|| format!("{place}: it could not be read: {errno}"));
            }
        }
        if walk.is_over() {
            walk.search.missed(|| too_large(at));
            walk.search.cut_short = true;
            break;
        }
        next = walk.ahead.pop_front();
        walk.kept -= next.as_ref().map_or(0, Folder::size);
    }
    walk.search.found.sort_by(|one, other| one.path.cmp(&other.path));
    // What a link leads to is found by its own name as well.
    walk.search.found.dedup_by(|one, other| one.path == other.path);
    walk.search
}

/// A folder that is still to be searched.
struct Folder {
    path: String,
    /// As what, where it is a link that leads there which makes what lies in it protected.
    led: Option<Along>,
}

impl Folder {
    /// Bytes that are kept of it.
    fn size(&self) -> usize {
        self.path.len() + self.led.as_ref().map_or(0, Along::size)
    }
}

/// A search under way.
struct Walk<'a> {
    tree: &'a OwnedFd,
    at: &'a HostPath,
    until: Instant,
    search: Search,
    ahead: VecDeque<Folder>,
    /// Where links led, and as what: a link may lead back to its own folder.
    led_to: BTreeSet<(String, Along)>,
    /// Entries looked at.
    seen: usize,
    /// Bytes of names in what is ahead, and in what was found.
    kept: usize,
}

impl Walk<'_> {
    /// For messages.
    fn place(&self, folder: &str, name: &str) -> String {
        let parts = [self.at.as_str(), folder, name].map(|part| part.trim_end_matches('/'));
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("/")
    }

    /// What may be read of the next folder.
    fn room(&self) -> Room {
        let entries = MOST_ENTRIES.saturating_sub(self.seen);
        Room { entries, bytes: MOST_LISTED, until: self.until }
    }

    /// Whether a bound is reached.
    fn is_over(&self) -> bool {
        self.seen >= MOST_ENTRIES
            || self.kept >= MOST_KEPT
            || self.search.found.len() + self.search.acls.len() > MOST_FOUND
            || Instant::now() > self.until
    }

    /// Takes in what lies in a folder.
    fn take(&mut self, folder: &str, Listed { names, whole, odd, read, cut, acl }: Listed) {
        let deep = folder.split('/').count() >= MOST_DEPTH;
        if let Some(odd) = odd {
            let place = self.place(folder, &odd);
            self.search.missed(|| format!("{place}: its name is not UTF-8"));
        }
        if !whole {
            self.search.missed(|| too_large(self.at));
        }
        self.search.cut_short |= cut;
        self.seen += read;
        self.take_acl(folder, acl);
        let repository = protect::is_repository(names.iter().map(|(name, _)| &**name));
        let along = Along::of(&self.place(folder, ""));
        for (name, kind) in names {
            let Step { protected, along } = along.step(&name);
            let itself = protected || (repository && protect::of_repository(&name));
            let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let elsewhere = kind != FileType::Directory && protect::leads_elsewhere(&below);
            let link = kind == FileType::Symlink && along.leads_on();
            let protected = itself || elsewhere || link;
            if protected || kind == FileType::Socket {
                self.note(&below, kind);
            }
            if protected && kind == FileType::Symlink {
                self.follow(&below, itself, along);
            }
            let ahead = kind == FileType::Directory && !protected;
            if ahead && deep {
                let place = self.place(&below, "");
                self.search.missed(|| format!("{place}: it lies too deep"));
            } else if ahead {
                self.go(Folder { path: below, led: None });
            }
            if self.is_over() {
                return;
            }
        }
    }

    /// Takes in what lies in a folder that a link leads to, as what lies behind that link.
    fn take_led(&mut self, folder: &str, along: &Along, listed: Listed) {
        if !listed.whole {
            self.search.missed(|| too_large(self.at));
        }
        self.search.cut_short |= listed.cut;
        self.seen += listed.read;
        for (name, kind) in listed.names {
            let Step { protected, along } = along.step(&name);
            let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if !protected && !along.leads_on() {
                continue;
            }
            if protected || kind == FileType::Symlink {
                self.note(&below, kind);
            }
            if kind == FileType::Symlink {
                self.follow(&below, protected, along);
            } else if kind == FileType::Directory && !protected {
                self.lead(below, along);
            }
            if self.is_over() {
                return;
            }
        }
    }

    /// Finds what a link leads to where it lies in the tree: all of it, or what in it would be protected behind the link.
    fn follow(&mut self, link: &str, itself: bool, along: Along) {
        let Some((path, kind)) = links::leads_to(self.tree, self.at, link) else { return };
        if itself {
            self.note(&path, kind);
        } else if kind == FileType::Directory {
            self.lead(path, along.led());
        }
    }

    fn lead(&mut self, path: String, along: Along) {
        let new = along.leads_on() && self.led_to.insert((path.clone(), along.clone()));
        if new {
            let folder = Folder { path, led: Some(along) };
            self.kept += folder.size();
            self.go(folder);
        }
    }

    fn go(&mut self, folder: Folder) {
        self.kept += folder.size();
        self.ahead.push_back(folder);
    }

    fn take_acl(&mut self, folder: &str, acl: rustix::io::Result<Option<Vec<u8>>>) {
        let acl = match acl {
            Ok(Some(acl)) => acl,
            Ok(None) => return,
            // What is protected in it is looked for all the same.
            Err(errno) => {
                let place = self.place(folder, "");
                let errno = crate::explain::errno(errno.raw_os_error());
                return self.search.missed(|| format!("{place}: its default ACL: {errno}"));
            }
        };
        if let Some((_, folders)) = self.search.acls.get_mut(&acl) {
            *folders += 1;
            return;
        }
        self.kept += acl.len() + folder.len();
        match inside(self.at, folder) {
            Some(path) => drop(self.search.acls.insert(acl, (path, 1))),
            None => self.search.missed(|| String::from("a path in it is too long")),
        }
    }

    /// Takes a path into the findings.
    fn note(&mut self, below: &str, kind: FileType) {
        self.kept += below.len();
        let room = Room { entries: MOST_FOUND, ..self.room() };
        let linked = is_linked(self.tree, below, kind, room);
        let kind = match kind {
            FileType::Directory => ProtectedKind::Directory,
            FileType::RegularFile => ProtectedKind::Regular,
            FileType::Symlink => ProtectedKind::Link,
            FileType::Socket => ProtectedKind::Socket,
            FileType::Fifo
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => ProtectedKind::Other,
        };
        match inside(self.at, below) {
            Some(path) => self.search.found.push(ProtectedFact { path, kind, linked }),
            None => self.search.missed(|| String::from("a path in it is too long")),
        }
    }
}

/// A path in a tree, or the tree itself.
fn inside(tree: &HostPath, below: &str) -> Option<HostPath> {
    if below.is_empty() { Some(tree.clone()) } else { tree.join(below).ok() }
}

fn too_large(at: &HostPath) -> String {
    format!("{at}: it is too large, or too slow, to be looked through")
}

/// Whether a file, or one in a folder of hooks, has a second name. What cannot be looked at may.
fn is_linked(tree: &OwnedFd, below: &str, kind: FileType, room: Room) -> bool {
    let has_names = |path: &str| {
        let file = super::open(tree, path).and_then(rustix::fs::fstat);
        file.map_or(true, |stat| stat.st_nlink > 1)
    };
    if kind == FileType::Directory {
        return entries(tree, below, room).map_or(true, |listed| {
            if !listed.whole || listed.odd.is_some() {
                return true;
            }
            let mut files = listed.names.iter().filter(|(_, kind)| *kind == FileType::RegularFile);
            files.any(|(name, _)| has_names(&format!("{below}/{name}")))
        });
    }
    kind == FileType::RegularFile && has_names(below)
}

/// What lies in a folder.
struct Listed {
    names: Vec<(String, FileType)>,
    /// Whether these are all.
    whole: bool,
    /// A folder, or the like, that cannot be searched because its name is not UTF-8.
    odd: Option<String>,
    /// How many entries were read.
    read: usize,
    /// Whether these are not all because of the bytes of their names, or of the time.
    cut: bool,
    /// Its default ACL, or why that is not known.
    acl: rustix::io::Result<Option<Vec<u8>>>,
}

/// What may be read of a folder: the agent decides how much there is.
struct Room {
    entries: usize,
    bytes: usize,
    until: Instant,
}

/// Reads a folder, as much of it as there is room for.
fn entries(tree: &OwnedFd, folder: &str, mut room: Room) -> rustix::io::Result<Listed> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = rustix::fs::ResolveFlags::BENEATH
        | rustix::fs::ResolveFlags::NO_SYMLINKS
        | rustix::fs::ResolveFlags::NO_MAGICLINKS;
    let path = if folder.is_empty() { "." } else { folder };
    let opened = rustix::fs::openat2(tree, path, flags, Mode::empty(), resolve)?;
    let acl = default_acl(&opened);
    let mut listed = Listed { names: Vec::new(), whole: true, odd: None, read: 0, cut: false, acl };
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        listed.read += 1;
        room.bytes = room.bytes.saturating_sub(entry.file_name().to_bytes().len());
        listed.cut = room.bytes == 0 || Instant::now() > room.until;
        if listed.read > room.entries || listed.cut {
            listed.whole = false;
            break;
        }
        // A name that is not UTF-8 is none of those that are protected, but one of them may lie below
        // it, and no plan can name that.
        let Ok(name) = entry.file_name().to_str() else {
            if entry.file_type() != FileType::RegularFile {
                let name = entry.file_name().to_bytes().escape_ascii();
                listed.odd.get_or_insert_with(|| name.to_string());
            }
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

/// What the kernel keeps of it; nothing where there is none, or none on this file system.
fn default_acl(folder: &OwnedFd) -> rustix::io::Result<Option<Vec<u8>>> {
    const NAME: &str = "system.posix_acl_default";
    let size = match rustix::fs::fgetxattr_query(folder, NAME) {
        Ok(0) | Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
        size => size?,
    };
    let mut acl = vec![0; size];
    let size = rustix::fs::fgetxattr(folder, NAME, &mut acl[..])?;
    acl.truncate(size);
    Ok(Some(acl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn found_in(tree: &std::path::Path) -> Search {
        let at = HostPath::try_from(tree.to_str().unwrap()).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        search(&rustix::fs::open(tree, flags, Mode::empty()).unwrap(), &at, until())
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
        assert!(after.why.unwrap().contains("too deep"));
    }

    #[test]
    fn a_folder_whose_name_is_no_text_is_named_as_the_cause() {
        use std::os::unix::ffi::OsStrExt as _;
        let tree = std::env::temp_dir().join(format!("sandboxd-odd-{}", std::process::id()));
        fs::create_dir_all(tree.join("in")).unwrap();
        fs::write(tree.join(std::ffi::OsStr::from_bytes(b"file\xff")), "").unwrap();
        let whole = found_in(&tree);
        fs::create_dir(tree.join("in").join(std::ffi::OsStr::from_bytes(b"caf\xe9"))).unwrap();
        let search = found_in(&tree);
        fs::remove_dir_all(&tree).unwrap();
        assert!(whole.complete && whole.why.is_none());
        let place = tree.join("in/caf\\xe9").display().to_string();
        assert_eq!(search.why.unwrap(), format!("{place}: its name is not UTF-8"));
        assert!(!search.complete && !search.cut_short);
    }

    #[test]
    fn a_search_ends_in_time_and_says_that_it_was_cut_short() {
        let tree = std::env::temp_dir().join(format!("sandboxd-late-{}", std::process::id()));
        fs::create_dir_all(tree.join("one/two")).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&tree, flags, Mode::empty()).unwrap();
        let at = HostPath::try_from(tree.to_str().unwrap()).unwrap();
        let late = search(&opened, &at, Instant::now());
        let whole = search(&opened, &at, until());
        let few = entries(&opened, "", Room { entries: 10, bytes: 4, until: until() }).unwrap();
        fs::remove_dir_all(&tree).unwrap();
        assert!(late.cut_short && !late.complete);
        assert!(whole.complete && !whole.cut_short);
        assert!(few.cut && !few.whole);
    }

    #[test]
    fn a_default_acl_is_seen_with_how_many_folders_have_it() {
        let tree = std::env::temp_dir().join(format!("sandboxd-acls-{}", std::process::id()));
        fs::create_dir_all(tree.join("a")).unwrap();
        let before = found_in(&tree).acls;
        // Of the owner, the group and others, acl(5).
        let entry = |tag: u8| [tag, 0, 7, 0, 255, 255, 255, 255];
        let acl = [&[2, 0, 0, 0][..], &entry(1), &entry(4), &entry(0x20)].concat();
        let flags = rustix::fs::XattrFlags::empty();
        let set = rustix::fs::setxattr(tree.join("a"), "system.posix_acl_default", &acl, flags);
        fs::create_dir(tree.join("a/inherits")).unwrap();
        let after = found_in(&tree).acls;
        let topmost = HostPath::try_from(tree.join("a").to_str().unwrap()).unwrap();
        fs::remove_dir_all(&tree).unwrap();
        if set == Err(Errno::OPNOTSUPP) {
            println!("not run: no ACLs on this file system");
            return;
        }
        assert!(before.is_empty());
        assert_eq!(after, BTreeMap::from([(acl, (topmost, 2))]));
    }

    #[test]
    fn a_link_that_leads_back_to_its_folder_is_followed_once() {
        use std::os::unix::fs::symlink;
        let tree = std::env::temp_dir().join(format!("sandboxd-back-{}", std::process::id()));
        fs::create_dir_all(tree.join("conf")).unwrap();
        for name in [".vscode", ".claude", ".GitHub", ".hg", "conf/.vscode"] {
            symlink(".", tree.join(name)).unwrap();
        }
        fs::write(tree.join("tasks.json"), "").unwrap();
        fs::write(tree.join("conf/launch.json"), "").unwrap();
        let search = found_in(&tree);
        fs::remove_dir_all(&tree).unwrap();
        let names = |fact: &ProtectedFact| fact.path.file_name().unwrap().to_owned();
        let found: Vec<String> = search.found.iter().map(names).collect();
        let wanted =
            [".GitHub", ".claude", ".hg", ".vscode", ".vscode", "launch.json", "tasks.json"];
        assert_eq!(found, wanted);
        assert!(search.complete);
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
