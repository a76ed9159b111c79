//! Searching a writable tree for what the host may later execute, and for sockets and pipes of the host's.
//!
//! Before the run, so that it can be held; after it, so that what appeared can be named. The tree is
//! the agent's: entries are looked at with `O_NOFOLLOW`, nothing is read but directories, nothing is
//! waited for, and the search is bounded.

use super::links;
use super::listed::{self, Listed, Room, entries, has_names};
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use rustix::io::Errno;
use sandboxd_plan::HostPath;
use sandboxd_profiles::host::{Blind, ProtectedFact, ProtectedKind};
use sandboxd_profiles::protect::{self, Along, Step};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
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
    /// Why there may be any number of further findings.
    pub blind: Option<Blind>,
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
        within: BTreeSet::new(),
        seen: 0,
        kept: 0,
    };
    // What lies near the top first: a command that wants to use up the bounds must not be able to put
    // anything before what its owner put there.
    let mut next = Some(Folder { path: String::new(), part: Part::Tree });
    while let Some(folder) = next {
        match entries(tree, &folder.path, walk.room()) {
            Ok(listed) => match &folder.part {
                Part::Tree => walk.take(&folder.path, listed),
                Part::Led(along) => walk.take_led(&folder.path, along, listed),
                Part::Found(finding) => walk.take_within(&folder.path, *finding, listed),
            },
            // It went away, or was replaced, while we looked.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => walk.unread(&folder.path, errno),
        }
        if walk.is_over() {
            walk.search.missed(|| too_large(at));
            walk.search.blind.get_or_insert(Blind::Bounded);
            break;
        }
        next = walk.ahead.pop_front();
        walk.kept -= next.as_ref().map_or(0, Folder::size);
    }
    walk.search.found.sort_by(|one, other| one.path.cmp(&other.path));
    // What a link leads to is found by its own name as well.
    walk.search.found.dedup_by(|again, kept| {
        let same = again.path == kept.path;
        kept.linked |= same && again.linked;
        same
    });
    walk.search
}

/// A folder that is still to be searched.
struct Folder {
    path: String,
    part: Part,
}

/// What a folder is a part of.
enum Part {
    /// The tree.
    Tree,
    /// What a link leads to which makes what lies in it protected, and as what.
    Led(Along),
    /// Something protected, of the findings that one.
    Found(usize),
}

impl Folder {
    /// Bytes that are kept of it.
    fn size(&self) -> usize {
        let along = match &self.part {
            Part::Tree | Part::Found(_) => 0,
            Part::Led(along) => along.size(),
        };
        self.path.len() + along
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
    /// Folders that are protected, or lie in one: each is searched once as such.
    within: BTreeSet<String>,
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

    /// Counts what was read of a folder, and says what of it was not.
    fn count(&mut self, folder: &str, listed: &Listed) {
        if let Some(odd) = &listed.odd {
            let place = self.place(folder, odd);
            self.search.missed(|| format!("{place}: its name is not UTF-8"));
        }
        if !listed.whole {
            self.search.missed(|| too_large(self.at));
        }
        if listed.cut {
            self.search.blind.get_or_insert(Blind::Bounded);
        }
        self.seen += listed.read;
    }

    /// Takes in that a folder cannot be read.
    fn unread(&mut self, folder: &str, errno: Errno) {
        let place = self.place(folder, "");
        let why = crate::explain::errno(errno.raw_os_error());
        self.search.missed(|| format!("{place}: it could not be read: {why}"));
        if errno == Errno::ACCESS && listed::is_closed(self.tree, folder) {
            self.search.blind = inside(self.at, folder).map(Blind::Closed);
        }
    }

    /// Takes in what lies in a folder.
    fn take(&mut self, folder: &str, listed: Listed) {
        self.count(folder, &listed);
        let Listed { names, acl, .. } = listed;
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
            if protected || matches!(kind, FileType::Socket | FileType::Fifo) {
                self.note(&below, kind);
            }
            if protected && kind == FileType::Symlink {
                self.follow(&below, itself, along);
            }
            if kind == FileType::Directory && !protected {
                self.go_on(folder, Folder { path: below, part: Part::Tree });
            }
            if self.is_over() {
                return;
            }
        }
    }

    /// Takes in what lies in a folder that a link leads to, as what lies behind that link.
    fn take_led(&mut self, folder: &str, along: &Along, listed: Listed) {
        self.count(folder, &listed);
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

    /// Takes in what lies in a folder that is protected, or in one that is: no mount over it keeps what a link in it
    /// leads to, nor what has a name elsewhere.
    fn take_within(&mut self, folder: &str, finding: usize, listed: Listed) {
        self.count(folder, &listed);
        // What cannot be named may have another name.
        if let Some(found) = self.search.found.get_mut(finding) {
            found.linked |= listed.odd_file;
        }
        for (name, kind) in listed.names {
            let below = format!("{folder}/{name}");
            match kind {
                FileType::Directory => self.go_within(folder, below, finding),
                FileType::Symlink => self.take_link(below, finding),
                FileType::Socket | FileType::Fifo => self.note(&below, kind),
                FileType::RegularFile => {
                    if let Some(found) =
                        self.search.found.get_mut(finding).filter(|one| !one.linked)
                    {
                        found.linked = has_names(self.tree, &below);
                    }
                }
                FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {}
            }
            if self.is_over() {
                return;
            }
        }
    }

    /// Takes in a link in what is protected, and what it leads to. One to what lies in it as well is kept with that; and
    /// of a folder that it lies in itself, which may be all of the workspace, nothing is kept for it.
    fn take_link(&mut self, link: String, finding: usize) {
        let found = self.search.found.get(finding);
        let folder = found.and_then(|found| found.path.below(self.at));
        if folder.is_some_and(|folder| links::stays(self.tree, folder, &link)) {
            return;
        }
        self.note(&link, FileType::Symlink);
        match links::leads_to(self.tree, self.at, &link) {
            Some((path, kind)) if !Path::new(&link).starts_with(&path) => self.note(&path, kind),
            Some(_) | None => {}
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
            let folder = Folder { path, part: Part::Led(along) };
            self.kept += folder.size();
            self.go(folder);
        }
    }

    fn go_within(&mut self, above: &str, path: String, finding: usize) {
        if self.within.insert(path.clone()) {
            self.kept += path.len();
            self.go_on(above, Folder { path, part: Part::Found(finding) });
        }
    }

    /// Goes on into a folder, unless that lies too deep.
    fn go_on(&mut self, above: &str, folder: Folder) {
        if above.split('/').count() < MOST_DEPTH {
            return self.go(folder);
        }
        let place = self.place(&folder.path, "");
        self.search.missed(|| format!("{place}: it is nested too deeply"));
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

    /// Takes a path into the findings, and of a folder what lies in it.
    fn note(&mut self, below: &str, kind: FileType) {
        self.kept += below.len();
        let linked = kind == FileType::RegularFile && has_names(self.tree, below);
        let protected = match kind {
            FileType::Directory => ProtectedKind::Directory,
            FileType::RegularFile => ProtectedKind::Regular,
            FileType::Symlink => ProtectedKind::Link,
            FileType::Socket => ProtectedKind::Socket,
            FileType::Fifo => ProtectedKind::Pipe,
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
                ProtectedKind::Other
            }
        };
        let Some(path) = inside(self.at, below) else {
            return self.search.missed(|| String::from("a path in it is too long"));
        };
        let finding = self.search.found.len();
        self.search.found.push(ProtectedFact { path, kind: protected, linked });
        if kind == FileType::Directory && !below.is_empty() {
            self.go_within(below, below.to_owned(), finding);
        }
    }
}

/// A path in a tree, or the tree itself.
fn inside(tree: &HostPath, below: &str) -> Option<HostPath> {
    if below.is_empty() { Some(tree.clone()) } else { tree.join(below).ok() }
}

fn too_large(at: &HostPath) -> String {
    format!("{at}: it is too large, or too slow, to be searched")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
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
        assert!(!search.complete && search.blind.is_none());
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
        assert!(late.blind == Some(Blind::Bounded) && !late.complete);
        assert!(whole.complete && whole.blind.is_none());
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

    #[test]
    fn links_and_second_names_in_what_is_protected_are_found_at_any_depth() {
        use std::os::unix::fs::symlink;
        let tree = std::env::temp_dir().join(format!("sandboxd-within-{}", std::process::id()));
        for folder in [".husky/a/b", "tools/more", "around/.husky"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        for file in [".husky/a/b/hook", "tools/hook", "tools/more/hook", "tools/other"] {
            fs::write(tree.join(file), "").unwrap();
        }
        for (link, target) in [
            (".husky/a/out", "../../tools/hook"),
            (".husky/a/folder", "../../tools/more"),
            (".husky/a/stays", "../a/b/hook"),
            (".husky/loop", "a"),
            ("tools/more/further", "../other"),
            ("tools/more/back", "../../.husky"),
            ("around/.husky/up", ".."),
        ] {
            symlink(target, tree.join(link)).unwrap();
        }
        let alone = found_in(&tree);
        fs::hard_link(tree.join(".husky/a/b/hook"), tree.join("second")).unwrap();
        let linked = found_in(&tree);
        fs::remove_dir_all(&tree).unwrap();
        let at = tree.to_str().unwrap();
        let name = |fact: &ProtectedFact| fact.path.as_str().replace(at, "");
        let found: Vec<String> = alone.found.iter().map(name).collect();
        let wanted = [
            "/.husky",
            "/.husky/a/folder",
            "/.husky/a/out",
            "/around/.husky",
            "/around/.husky/up",
            "/tools/hook",
            "/tools/more",
            "/tools/more/back",
            "/tools/more/further",
            "/tools/other",
        ];
        assert_eq!(found, wanted);
        assert!(alone.complete && alone.found.iter().all(|fact| !fact.linked));
        let linked: Vec<String> =
            linked.found.iter().filter(|fact| fact.linked).map(name).collect();
        assert_eq!(linked, ["/.husky"]);
    }
}
