//! The copy of the tree that variants are made in.
//!
//! It stays at one place between runs, with a target folder of its own, and a file is written only
//! where it differs: cargo then builds again only what a variant changes.

use crate::tree::Tree;
use anyhow::{Context as _, Result};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

/// The copy, equal to the tree as it is now.
pub(super) fn make(tree: &Tree) -> Result<Tree> {
    let folder = tree.target.join("break");
    let copy = Tree { root: folder.join("tree"), target: folder.join("target") };
    refresh(tree, &copy)?;
    Ok(copy)
}

/// Makes the copy equal to the tree again.
pub(super) fn refresh(tree: &Tree, copy: &Tree) -> Result<()> {
    let files: BTreeSet<String> = tree.files()?.into_iter().collect();
    remove_others(&copy.root, &copy.root, &files)?;
    for file in &files {
        bring(&tree.root.join(file), &copy.root.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    // What was installed for the cases is not of the tree, and is not installed again.
    for installed in ["clients", "models"] {
        let (from, to) = (tree.target.join(installed), copy.root.join("target").join(installed));
        if from.exists() {
            fs::create_dir_all(copy.root.join("target"))?;
            std::os::unix::fs::symlink(from, to)?;
        }
    }
    Ok(())
}

fn bring(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    if from.is_symlink() {
        if to.is_symlink() {
            fs::remove_file(to)?;
        }
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
        return Ok(());
    }
    let bytes = fs::read(from)?;
    if fs::read(to).ok().as_deref() != Some(&bytes) {
        fs::write(to, bytes)?;
    }
    let mode = fs::metadata(from)?.permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Removes what an earlier copy had and the tree no longer has.
fn remove_others(root: &Path, folder: &Path, files: &BTreeSet<String>) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            remove_others(root, &path, files)?;
        } else if !files.contains(&path.strip_prefix(root)?.display().to_string()) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_the_same_keeps_its_time_and_one_that_is_gone_is_removed() {
        let folder = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        fs::create_dir_all(folder.join("from")).unwrap();
        fs::create_dir_all(folder.join("to/old")).unwrap();
        fs::write(folder.join("from/a"), "a").unwrap();
        fs::write(folder.join("to/old/b"), "b").unwrap();

        bring(&folder.join("from/a"), &folder.join("to/a")).unwrap();
        let before = fs::metadata(folder.join("to/a")).unwrap().modified().unwrap();
        bring(&folder.join("from/a"), &folder.join("to/a")).unwrap();
        remove_others(&folder.join("to"), &folder.join("to"), &BTreeSet::from(["a".into()]))
            .unwrap();

        assert_eq!(fs::metadata(folder.join("to/a")).unwrap().modified().unwrap(), before);
        assert!(!folder.join("to/old/b").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
