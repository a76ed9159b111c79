//! Names that led through a symbolic link. What is granted is the file that such a name leads to; where the link itself
//! is not shown, the name leads nowhere.

use super::written::missing;
use crate::learn::group::{For, Grants, LeftOut, List};
use crate::learn::seen::{All, Need};
use crate::learn::text::is_plain;
use sandboxd_profiles::why::{Access, Asked};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Grants by that name too what is granted whole, where a profile can name it so; what cannot be is left out.
pub(super) fn linked(
    asked: &Asked<'_>,
    seen: &All,
    files: &mut Grants,
    tried: impl Fn(List, &Path) -> Result<(), String>,
) -> Vec<LeftOut> {
    let mut left = Vec::new();
    let mut judged = BTreeSet::new();
    for (name, by) in &seen.links {
        let name = Path::new(OsStr::from_bytes(name));
        let found = link_on(name).zip(name.canonicalize().ok());
        let Some((link, real)) = found.filter(|(link, _)| !is_shown(asked, files, link)) else {
            continue;
        };
        let by = String::from_utf8_lossy(by).into_owned();
        let granted = list_of(asked, files, &real);
        let by_name = granted.filter(|list| is_text(name) && tried(*list, name).is_ok());
        if let Some(list) = by_name {
            files.insert((list, name.to_owned()), For { by: BTreeSet::from([by]), names: 1 });
        } else if (granted.is_some() || files.keys().any(|(_, path)| path.starts_with(&real)))
            && judged.insert(link.clone())
        {
            let why = format!(
                "named through the link {}, which is not shown: name {} instead, or let the folder of the link be read, and all in it",
                link.display(),
                real.display()
            );
            left.push(LeftOut { what: name.to_string_lossy().into_owned(), by, why });
        }
    }
    left
}

/// A command, by its program's file where that was named through a link that is not shown: npm and pipx put such links
/// into folders of theirs.
pub(super) fn by_file(asked: &Asked<'_>, files: &Grants, words: &mut [String]) -> Option<LeftOut> {
    let first = words.first_mut()?;
    let named = PathBuf::from(&*first);
    link_on(&named).filter(|link| named.is_absolute() && !is_shown(asked, files, link))?;
    let real = named.canonicalize().ok()?.into_os_string().into_string().ok()?;
    let why = "its link is not shown, so that its file is named; where it goes by its name (a venv, rustup, busybox), let the folder of the link be read, and name the link";
    let what = std::mem::replace(first, real);
    Some(LeftOut { what, by: String::new(), why: String::from(why) })
}

fn is_text(path: &Path) -> bool {
    path.to_str().is_some_and(is_plain)
}

/// The first link on the way of a path.
fn link_on(path: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    let is_link = |path: &&&Path| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    above.iter().find(is_link).map(|link| link.to_path_buf())
}

/// Whether a link can be followed: its folder is shown, or what is granted is named through it.
fn is_shown(asked: &Asked<'_>, files: &Grants, link: &Path) -> bool {
    let folder = link.parent().unwrap_or(link);
    let granted = files.keys().any(|(_, path)| folder.starts_with(path) || path.starts_with(link));
    let listed = |path: &str| missing(asked, path, Need::READ, true).is_none();
    granted
        || folder.to_str().is_some_and(listed)
        || link.to_str().is_some_and(|link| asked.leads(link, Access::Read).is_some())
}

/// The list by which a file or a folder is granted whole, and which takes nothing from it when it is named there again.
fn list_of(asked: &Asked<'_>, files: &Grants, real: &Path) -> Option<List> {
    let around = files.keys().filter(|(_, path)| real.starts_with(path));
    if let Some((_, path)) = around.max_by_key(|(_, path)| path.as_os_str().len()) {
        let written = files.contains_key(&(List::Write, path.clone()));
        return Some(if written { List::Write } else { List::Read });
    }
    let text = real.to_str()?;
    let given = |need| missing(asked, text, need, real.is_dir()).is_none();
    let list = if given(Need::WRITE) { List::Write } else { List::Read };
    given(Need::READ).then_some(list)
}
