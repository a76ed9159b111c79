//! No mount needs, makes or leaves anything in the user's tree, whether the run succeeds or not.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Fault, Outside};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};

pub(crate) const CASE: Case = Case { rows: &["F18", "C05"], outside, by: By::Anybody, ..Case::NEW };

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for file in ["a/b/.env", "a/b/keys/id", "fixed/notes", ".git/config", "over/file"] {
        outside.file(&format!("ws/{file}"), file)?;
    }
    symlink("a", ws.join("link"))?;
    if !outside.is_user() {
        chown(&ws, Some(0), Some(0))?;
    }
    let other = outside.file("other/file", "shown over")?;
    let before = snapshot(&ws)?;

    let held = format!(
        "write = [{ws:?}]\nread = [{:?}, {{ path = {:?}, optional = true }}]\n\
         hide = [{:?}, {:?}, {{ path = {:?}, optional = true }}]\n\
         bind = [{{ from = {other:?}, to = {:?} }}]\n",
        ws.join("fixed"),
        ws.join("not/there"),
        ws.join("a/b/.env"),
        ws.join("a/b/keys"),
        ws.join("absent"),
        ws.join("over/file"),
    );
    let profile = |files: &str| format!("extends = [\"builtin:base\"]\n[files]\n{files}");
    let shown = ws.join("over/file").display().to_string();
    let cat = |files: &str| outside.sandbox(&profile(files)).command(&["/bin/cat", &shown]);
    let run = cat(&held).run()?;
    run.exited(0)?;
    ensure!(run.stdout == "shown over", "{}", run.stdout);
    same(&before, &ws)?;

    for number in [libc::SYS_pivot_root, libc::SYS_landlock_restrict_self, libc::SYS_execveat] {
        cat(&held).fault(Fault::of(number, libc::ENOMEM)).run()?.not_started()?;
        same(&before, &ws)?;
    }
    // Where a mount point would have to be made, none is.
    for to in ["new", "a/new", "link/new", "over/file/new"] {
        let to = ws.join(to);
        let bind = format!("write = [{ws:?}]\nbind = [{{ from = {other:?}, to = {to:?} }}]\n");
        let path = to.display().to_string();
        cat(&bind).run()?.has_problem(&[path.as_str(), "nothing is created in your tree"])?;
        same(&before, &ws)?;
    }
    Ok(())
}

/// Inode, mode, owner, size, and the times of change in seconds and nanoseconds.
type State = (u64, u32, u32, u64, i64, i64);

fn snapshot(folder: &Path) -> Result<BTreeMap<PathBuf, State>> {
    let mut all = BTreeMap::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(path) = ahead.pop() {
        let at = fs::symlink_metadata(&path)?;
        if at.is_dir() {
            for entry in fs::read_dir(&path)? {
                ahead.push(entry?.path());
            }
        }
        let state = (at.ino(), at.mode(), at.uid(), at.size(), at.ctime(), at.ctime_nsec());
        all.insert(path, state);
    }
    Ok(all)
}

fn same(before: &BTreeMap<PathBuf, State>, ws: &Path) -> Result<()> {
    let now = snapshot(ws)?;
    ensure!(now == *before, "the tree changed: {before:?} became {now:?}");
    Ok(())
}
