//! Git commits, branches and rebases in a writable repository, whose files stay their owner's.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["F13", "F15"],
    needs: &[Need::Program("/usr/bin/git")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

const WORK: &str = "
git config user.name 2>/dev/null && exit 9
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
echo two > two; git add two; git commit -q -m two
git checkout -q -b side HEAD~1
echo three > three; git add three; git commit -q -m three
git rebase -q main
git commit -q --amend -m 'three, again'
git checkout -q main; git merge -q --ff-only side
echo four > two; git stash -q; git stash pop -q; git checkout -q two
git tag v1; git mv three 3; git commit -q -m moved; git gc -q; git worktree list
git log --format=%s
";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let (home, owner) = (outside.dir(), outside.owner());
    git(&ws, home, owner, &["init", "-q", "-b", "main"])?;
    outside.file("ws/one", "one")?;
    git(&ws, home, owner, &["add", "one"])?;
    git(&ws, home, owner, &["-c", "user.name=o", "-c", "user.email=o@h", "commit", "-qm", "one"])?;
    let config = fs::read(ws.join(".git/config"))?;
    let run = outside
        .sandbox("extends = [\"builtin:coding-agent\"]\n")
        .cwd(&ws)
        .command(&["/bin/sh", "-ec", WORK])
        .run()?;
    run.exited(0)?;
    ensure!(run.stdout.ends_with("moved\nthree, again\ntwo\none\n"), "{}", run.stdout);
    ensure!(!run.stderr.contains("may execute"), "something is named that was not made");
    let named = run.result.as_ref().and_then(|result| result["may_execute"].as_array());
    ensure!(named.is_some_and(Vec::is_empty), "{named:?}");

    // The owner goes on with it, as if it were their own work.
    ensure!(
        git(&ws, home, owner, &["log", "--format=%s"])?.starts_with("moved\nthree, again\n"),
        "log"
    );
    git(&ws, home, owner, &["fsck", "--strict"])?;
    ensure!(git(&ws, home, owner, &["status", "--porcelain"])?.is_empty(), "it left changes");
    ensure!(fs::read(ws.join(".git/config"))? == config, ".git/config was changed");
    owned(&ws, owner)
}

/// Runs git as the owner of the workspace.
fn git(ws: &Path, home: &Path, (uid, gid): (u32, u32), words: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    let ran = git.args(words).current_dir(ws).env("HOME", home).uid(uid).gid(gid).output()?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    ensure!(ran.status.success(), "git {words:?}: {} {said}", ran.status);
    String::from_utf8(ran.stdout).context("what git says")
}

fn owned(folder: &Path, owner: (u32, u32)) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        let ids = (found.uid(), found.gid());
        ensure!(ids == owner, "{} belongs to {ids:?}", path.display());
        if found.is_dir() {
            owned(&path, owner)?;
        }
    }
    Ok(())
}
