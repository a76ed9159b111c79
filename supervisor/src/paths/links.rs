//! Where a link in a tree leads, without following it.

use super::{MOST_LINKS, components, open, with_the_link};
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use sandboxd_plan::HostPath;

/// Where in its tree a link leads to, through any others there, and what it finds; nothing where that is not there or
/// not in the tree. What lies outside of the tree is not looked at: whoever made the link may choose it.
pub(super) fn leads_to(tree: &OwnedFd, at: &HostPath, link: &str) -> Option<(String, FileType)> {
    let mut so_far = at.clone();
    let mut ahead = components(link);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            so_far = so_far.parent().unwrap_or(so_far);
            continue;
        }
        let next = so_far.join(&name).ok()?;
        let Some(target) = next.below(at).and_then(|below| read(tree, below)) else {
            so_far = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return None;
        }
        ahead.extend(components(&target));
        if target.starts_with('/') {
            so_far = HostPath::try_from("/").ok()?;
        }
    }
    let below = so_far.below(at)?;
    let stat = rustix::fs::fstat(open(tree, below).ok()?).ok()?;
    Some((below.to_owned(), FileType::from_raw_mode(stat.st_mode)))
}

/// Whether a link, by what it says, leads to nothing but what lies in a folder that it lies in itself, at whatever depth:
/// through links there perhaps, each of which says where it leads.
pub(super) fn stays(tree: &OwnedFd, folder: &str, link: &str) -> bool {
    let Some(target) = read(tree, link).filter(|target| !target.starts_with('/')) else {
        return false;
    };
    let depth = components(link).len().saturating_sub(components(folder).len() + 1);
    let mut names = components(&target);
    let all = names.len();
    while names.last().is_some_and(|name| name == "..") {
        names.pop();
    }
    all - names.len() <= depth && !names.iter().any(|name| name == "..")
}

/// What a link says, where there is one.
fn read(tree: &OwnedFd, path: &str) -> Option<String> {
    let link = with_the_link(tree, path).ok()?;
    rustix::fs::readlinkat(link, "", Vec::new()).ok()?.into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_known_by_where_it_leads_in_its_tree() {
        let dir = std::env::temp_dir().join(format!("sandboxd-leads-{}", std::process::id()));
        let tree = dir.join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::write(tree.join("a/file"), "").unwrap();
        std::fs::create_dir(dir.join("beside")).unwrap();
        let tree = tree.canonicalize().unwrap();
        let absolute = tree.join("a").display().to_string();
        for (link, target) in [
            ("down", "a/b"),
            ("file", "./a//file"),
            ("again", "down/../file"),
            ("absolute", &absolute),
            ("back", "../tree/a"),
            ("itself", "."),
            ("a/b/up", "../../down"),
            ("out", "../beside"),
            ("none", "nowhere"),
            ("loop", "loop"),
        ] {
            symlink(target, tree.join(link)).unwrap();
        }
        let at = HostPath::try_from(tree.to_str().unwrap()).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&tree, flags, Mode::empty()).unwrap();
        let led = |link: &str| leads_to(&opened, &at, link).map(|(path, _)| path);
        let (down, a, file) = (Some("a/b".into()), Some("a".into()), Some("a/file".into()));
        assert_eq!((led("down"), led("a/b/up"), led("file")), (down.clone(), down, file.clone()));
        assert_eq!((led("absolute"), led("back"), led("again")), (a.clone(), a, file));
        assert_eq!((led("itself"), led("out")), (Some(String::new()), None));
        assert_eq!((led("none"), led("loop")), (None, None));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
