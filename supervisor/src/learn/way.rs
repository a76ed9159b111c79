//! Where a path leads, and by which links.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// So many links are followed, as the kernel follows no more.
const MOST_LINKS: usize = 40;

/// The same name in the folder that its path really leads to, and whether it is there.
pub(super) fn unfollowed(path: &Path) -> Option<(PathBuf, bool)> {
    let (folder, _) = real(path.parent()?);
    let place = folder.join(path.file_name()?);
    let exists = place.symlink_metadata().is_ok();
    Some((place, exists))
}

/// The links on the way of a path, each where it really lies, and what is named in it; nothing of that where it leads
/// back up.
pub(super) fn links(path: &Path) -> Vec<(PathBuf, Vec<OsString>)> {
    let names = |path: &Path| -> Vec<OsString> {
        let names = path.components().filter_map(|part| match part {
            Component::ParentDir | Component::Normal(_) => Some(part.as_os_str().to_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        });
        names.rev().collect()
    };
    let (mut links, mut at, mut rest) = (Vec::new(), PathBuf::from("/"), names(path));
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        let Ok(target) = at.read_link() else { continue };
        if links.len() == MOST_LINKS {
            break;
        }
        let back = rest.iter().any(|name| name == "..");
        let below = if back { Vec::new() } else { rest.iter().rev().cloned().collect() };
        links.push((at.clone(), below));
        at.pop();
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        rest.extend(names(&target));
    }
    links
}

/// Where a path leads, as far as it is there, and whether it is.
pub(super) fn real(path: &Path) -> (PathBuf, bool) {
    if let Ok(real) = path.canonicalize() {
        return (real, true);
    }
    // A link that leads nowhere is there itself.
    let exists = path.symlink_metadata().is_ok();
    let mut rest: Vec<&OsStr> = Vec::new();
    let mut at = path;
    while let (Some(folder), Some(name)) = (at.parent(), at.components().next_back()) {
        if let Component::Normal(name) = name {
            rest.push(name);
        }
        if let Ok(real) = folder.canonicalize() {
            return (rest.iter().rev().fold(real, |path, name| path.join(name)), exists);
        }
        at = folder;
    }
    (path.to_owned(), exists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_link_on_the_way_is_told_where_it_lies_with_what_is_named_in_it() {
        let root = std::env::temp_dir().join(format!("sandboxd-links-{}", std::process::id()));
        std::fs::create_dir_all(root.join("releases/42")).unwrap();
        let root = root.canonicalize().unwrap();
        std::fs::write(root.join("releases/42/conf"), "").unwrap();
        symlink("releases/42", root.join("current")).unwrap();
        symlink(root.join("current"), root.join("again")).unwrap();
        symlink("round", root.join("round")).unwrap();
        let told = |path: &str| -> Vec<PathBuf> {
            let named = links(&root.join(path))
                .into_iter()
                .map(|(link, below)| below.iter().fold(link, |path, name| path.join(name)));
            named.map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect()
        };
        let (plain, once) = (told("releases/42/conf"), told("releases/../current/conf"));
        let (twice, back, round) = (told("again/conf"), told("again/../x"), told("round"));
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(plain, [""; 0].map(PathBuf::from));
        assert_eq!(once, ["current/conf"].map(PathBuf::from));
        assert_eq!(twice, ["again/conf", "current/conf"].map(PathBuf::from));
        assert_eq!(back, ["again", "current"].map(PathBuf::from));
        assert_eq!(round.len(), MOST_LINKS);
    }
}
