//! From a path as the command would write it to what it names, path_resolution(7).

use super::host::Thing;
use super::permission::{SEARCH, Who};
use super::view::{EACCES, ENOENT, Node, View};
use sandboxd_plan::JailPath;
use std::collections::VecDeque;

pub(super) const ENOTDIR: i32 = 20;
const ENAMETOOLONG: i32 = 36;
const ELOOP: i32 = 40;
/// As many links as the kernel follows.
const LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Without links.
    pub(super) path: JailPath,
    /// What is there; nothing where only the last name is missing.
    pub(super) node: Option<Node>,
    /// The links that were followed.
    pub(super) links: Vec<(JailPath, String)>,
}

/// Where the way ends before that.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    /// The folder, link or name that stops it.
    pub(super) at: JailPath,
    pub(super) errno: i32,
    /// The folder that may not be entered, where it is that.
    pub(super) closed: Option<Node>,
}

impl Stop {
    pub(super) fn new(at: &JailPath, errno: i32) -> Self {
        Self { at: at.clone(), errno, closed: None }
    }
}

impl View<'_> {
    /// A folder in which names are looked up.
    fn searched(&self, who: &Who, at: &JailPath) -> Result<Node, Stop> {
        let folder = self.at(at).map_err(|errno| Stop::new(at, errno))?;
        if folder.thing != Thing::Directory {
            return Err(Stop::new(at, ENOTDIR));
        }
        if who.may(&folder, SEARCH).is_err() {
            return Err(Stop { closed: Some(folder), ..Stop::new(at, EACCES) });
        }
        Ok(folder)
    }

    /// Walks a path from a folder, as this one would.
    pub(super) fn walk(
        &self,
        who: &Who,
        from: &JailPath,
        path: &str,
        follow: bool,
    ) -> Result<Place, Stop> {
        let root = JailPath::try_from("/").map_err(|_| Stop::new(from, ENOENT))?;
        let mut at = if path.starts_with('/') { root.clone() } else { from.clone() };
        let mut left: VecDeque<String> = names(path).collect();
        let mut links = Vec::new();
        while let Some(name) = left.pop_front() {
            let folder = self.searched(who, &at)?;
            match name.as_str() {
                "." => continue,
                ".." => {
                    at = at.parent().unwrap_or(root.clone());
                    continue;
                }
                _ => {}
            }
            let next = at.join(&name).map_err(|_| Stop::new(&at, ENAMETOOLONG))?;
            let node = match self.at(&next) {
                Ok(node) => node,
                Err(ENOENT) if left.is_empty() => {
                    return Ok(Place { path: next, node: None, links });
                }
                Err(errno) => return Err(Stop::new(&next, errno)),
            };
            let target = match &node.thing {
                Thing::Link(target) if follow || !left.is_empty() => target,
                Thing::Link(_)
                | Thing::Directory
                | Thing::Regular
                | Thing::Socket
                | Thing::Pipe
                | Thing::Device => {
                    at = next;
                    continue;
                }
            };
            links.push((next.clone(), target.clone()));
            if links.len() > LINKS {
                return Err(Stop::new(&next, ELOOP));
            }
            if !who.follows(&folder, &node) {
                return Err(Stop::new(&next, EACCES));
            }
            if target.starts_with('/') {
                at = root.clone();
            }
            for name in names(target).collect::<Vec<_>>().into_iter().rev() {
                left.push_front(name);
            }
        }
        let node = self.at(&at).map_err(|errno| Stop::new(&at, errno))?;
        Ok(Place { path: at, node: Some(node), links })
    }
}

/// The names of a path; a `/` at its end says that it is a folder.
fn names(path: &str) -> impl Iterator<Item = String> {
    let folder = path.len() > 1 && path.ends_with('/');
    let names = path.split('/').filter(|name| !name.is_empty()).map(str::to_owned);
    names.chain(folder.then(|| String::from(".")))
}
