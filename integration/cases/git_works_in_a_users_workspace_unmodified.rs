//! Git commits, rebases, merges and stashes in a user's repository, whose hooks run and stay as they
//! are; it makes new repositories, which are named when the run ends; and it reads root's.

use anyhow::{Result, ensure};
use sandboxd_integration::{By, Case, Need, Outside, Sandbox};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) const CASE: Case = Case {
    rows: &["F13", "F15", "F16"],
    needs: &[Need::Program("/usr/bin/git")],
    outside,
    by: By::Anybody,
    ..Case::NEW
};

/// What the user did before.
const BEFORE: &str = r"set -eu
git init -q -b main
git config user.name User
git config user.email user@example.org
printf '#!/bin/sh\necho hook >> hooked\n' > .git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
echo hooked > .gitignore
echo one > a
git add .
git commit -qm first
";

const WORK: &str = r"set -eu
echo two >> a
git commit -qam second
git switch -qc side
echo side > b
git add b
git commit -qm side
git switch -q main
echo three >> a
git commit -qam third
git rebase -q main side
git switch -q main
git merge -q --no-ff -m merged side
echo dirty >> a
git stash -q
git stash pop -q
git checkout -q -- a
git tag v1
git mv b c
git commit -qm moved
git commit -q --amend -m 'moved again'
git branch -d side
git worktree add -q -b other tree
echo worktree > tree/d
git -C tree add d
git -C tree commit -qm worktree
git worktree remove tree
git gc -q
git fsck --no-progress
git status --porcelain
";

/// Each of these has to fail.
const PLANTED: &str = r"
echo evil >> .git/hooks/pre-commit
echo evil > .git/hooks/post-commit
git config core.fsmonitor /tmp/evil
mv .git .moved
rm -rf .git/hooks
true
";

const NEW: &str = r"set -eu
git init -q new
cd new
git config user.name Agent
git config user.email agent@example.org
printf '#!/bin/sh\necho new hook\n' > .git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
echo one > a
git add a
git commit -qm first
cd ..
git clone -q new clone
";

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let repository = ws.join("repository");
    outside.file("ws/repository/.keep", "")?;
    git(outside, &repository, BEFORE)?;
    let state = || -> Result<Vec<u8>> {
        let mut all = fs::read(repository.join(".git/config"))?;
        all.extend(fs::read(repository.join(".git/hooks/pre-commit"))?);
        Ok(all)
    };
    let before = state()?;
    let sandbox = |folder: &Path, words: &str| {
        let sandbox = outside.bare().option("--profile=builtin:coding-agent");
        sandbox.cwd(folder).command(&["sh", "-c", words]).run()
    };
    let run = sandbox(&repository, WORK)?;
    run.exited(0)?;
    git(outside, &repository, "test $(git log --oneline | wc -l) = 6 && git fsck")?;
    git(outside, &repository, "test \"$(git log -1 --format=%s other)\" = worktree")?;
    let hooked = fs::read_to_string(repository.join("hooked"))?.lines().count();
    ensure!(hooked >= 6, "the hook ran {hooked} times");
    let owner = fs::metadata(repository.join(".git/index"))?.uid();
    ensure!(owner == outside.owner().0, "the index belongs to {owner}");
    ensure!(!run.stderr.contains("may execute"), "named, though nothing was made");

    sandbox(&repository, PLANTED)?.exited(0)?;
    ensure!(state()? == before, "a hook or the settings were changed");
    ensure!(!repository.join(".git/hooks/post-commit").exists(), "a hook was planted");
    git(outside, &repository, "git fsck")?;

    let run = sandbox(&ws, NEW)?;
    run.exited(0)?;
    ensure!(run.stderr.starts_with("new hook\n"), "the new hook did not run");
    for made in ["new/.git/hooks", "new/.git/config", "clone/.git/config"] {
        ensure!(run.stderr.contains(made), "{made} is not named at the end");
    }
    if !outside.is_user() {
        belonging_to_root(outside, &repository)?;
    }
    Ok(())
}

/// Root's own repository, which a sandbox shows as root's where it may only be read: git takes it for somebody
/// else's, and is told by whoever trusts it that it is not. (Git reads that in the environment since 2.38.)
fn belonging_to_root(outside: &Outside, repository: &Path) -> Result<()> {
    let all = ["-R", "0:0"];
    ensure!(Command::new("chown").args(all).arg(repository).status()?.success(), "chown");
    let log = || {
        let log = ["git", "log", "-1", "--format=%s"];
        outside.bare().cwd(repository).command(&log)
    };
    let run = log().run()?;
    run.exited(128)?;
    ensure!(run.stderr.contains("dubious ownership"), "git says {:?}", run.stderr);
    let trusted = format!("--env=GIT_CONFIG_VALUE_0={}", repository.display());
    let trusted = ["--env=GIT_CONFIG_COUNT=1", "--env=GIT_CONFIG_KEY_0=safe.directory", &trusted];
    let run = trusted.into_iter().fold(log(), Sandbox::option).run()?;
    run.exited(0)?;
    ensure!(run.stdout == "moved again\n", "git log says {:?}", run.stdout);
    Ok(())
}

/// Runs a script as the user, on the host.
fn git(outside: &Outside, folder: &Path, script: &str) -> Result<()> {
    let (uid, gid) = outside.owner();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).current_dir(folder).uid(uid).gid(gid);
    let output =
        shell.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", "/").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "on the host: {}: {said}", output.status);
    Ok(())
}
