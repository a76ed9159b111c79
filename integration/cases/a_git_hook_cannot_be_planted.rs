//! In a repository that may be written, no hook can be planted and no setting changed that git later
//! runs for its owner.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use sandboxd_integration::{By, Case, Inside, Need, Outside};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The mount view alone promises this: for Landlock the repository is one writable tree.
pub(crate) const CASE: Case = Case {
    rows: &["F15", "F16", "F17", "E5"],
    needs: &[Need::Program("/usr/bin/git")],
    outside,
    probes: &[("plant", plant)],
    by: By::Anybody,
    ..Case::NEW
};

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for repository in [&ws, &ws.join("sub/repo")] {
        fs::create_dir_all(repository)?;
        let made = Command::new("git").args(["init", "-q"]).arg(repository).status()?;
        ensure!(made.success(), "git init: {made}");
    }
    let (uid, gid) = outside.owner();
    give(&ws, (uid, gid))?;
    let files = [
        ".git/config",
        ".git/hooks/pre-commit",
        "sub/repo/.git/config",
        "sub/repo/.git/hooks/pre-commit",
        ".vscode/tasks.json",
        ".envrc",
        ".github/workflows/ci.yml",
        ".claude/settings.json",
    ];
    let mut canaries = Vec::new();
    for file in files {
        // The owner's own, which the sandbox's user acts as.
        outside.file(&format!("ws/{file}"), "")?;
        canaries.push(outside.canary(&format!("ws/{file}"))?);
    }
    let hooks = listing(&ws.join(".git/hooks"))?;
    let run = outside
        .sandbox(&format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n"))
        .probe("plant", &[ws.to_str().unwrap_or_default()])
        .run()?;
    run.ran()?.allowed("index")?.allowed("object")?.allowed("read")?;
    for (attempt, _) in run.attempts() {
        if !["index", "object", "read"].contains(&attempt) {
            let answers = [Errno::EROFS, Errno::EBUSY, Errno::EXDEV, Errno::EACCES];
            run.refused(attempt, &answers)?;
        }
    }
    for canary in &canaries {
        canary.unchanged()?;
    }
    ensure!(listing(&ws.join(".git/hooks"))? == hooks, "the hooks are others now");

    // The judge is git itself: with settings that it can read it runs nothing of the probe's.
    for repository in [&ws, &ws.join("sub/repo")] {
        fs::write(repository.join(".git/config"), "")?;
        fs::write(repository.join(".git/hooks/pre-commit"), "#!/bin/sh\n")?;
        fs::write(repository.join("new"), "new")?;
        for words in [&["add", "new"][..], &["commit", "-qm", "x"], &["status"]] {
            let ran = Command::new("git")
                .args(["-c", "user.name=o", "-c", "user.email=o@h"])
                .args(words)
                .current_dir(repository)
                .env("HOME", outside.dir())
                .uid(uid)
                .gid(gid)
                .output()?;
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            ensure!(ran.status.success(), "git {words:?}: {said}");
        }
    }
    ensure!(!ws.join("hooked").exists(), "git ran what was planted");
    Ok(())
}

fn give(path: &Path, owner: (u32, u32)) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(owner.0), Some(owner.1))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

fn listing(folder: &Path) -> Result<Vec<(String, u32)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        found.push((entry.path().display().to_string(), entry.metadata()?.permissions().mode()));
    }
    found.sort();
    Ok(found)
}

fn plant(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let hook = format!("#!/bin/sh\ntouch {}/hooked\n", ws.display());
    fs::create_dir_all(ws.join("mine/hooks"))?;
    fs::write(ws.join("mine/hooks/pre-commit"), &hook)?;
    fs::set_permissions(ws.join("mine/hooks/pre-commit"), fs::Permissions::from_mode(0o755))?;
    fs::write(
        ws.join("mine/config"),
        format!("[core]\nfsmonitor = touch {}/hooked\n", ws.display()),
    )?;
    // What git itself does all the time works.
    inside.attempt("index", fs::write(ws.join(".git/index.lock"), "x"));
    inside.attempt("index", fs::remove_file(ws.join(".git/index.lock")));
    inside.attempt("object", fs::create_dir(ws.join(".git/objects/00")));
    inside.attempt("read", fs::read(ws.join(".git/config")));
    for repository in [ws.to_owned(), ws.join("sub/repo")] {
        let git = repository.join(".git");
        for name in ["post-commit", "pre-commit", "pre-commit.sample", "fsmonitor-watchman"] {
            let at = git.join("hooks").join(name);
            inside.attempt("write a hook", fs::write(&at, &hook));
            inside.attempt("move a hook in", fs::rename(ws.join("mine/hooks/pre-commit"), &at));
            inside.attempt(
                "link a hook in",
                symlink(ws.join("mine/hooks/pre-commit"), at.with_extension("x")),
            );
        }
        let sample = git.join("hooks/pre-commit");
        inside.attempt(
            "make it executable",
            fs::set_permissions(sample, fs::Permissions::from_mode(0o755)),
        );
        let append = fs::OpenOptions::new().append(true).open(git.join("config"));
        inside.attempt("append to config", append);
        inside.attempt("move config over", fs::rename(ws.join("mine/config"), git.join("config")));
        inside.attempt("move config away", fs::rename(git.join("config"), git.join("config.old")));
        inside.attempt("remove config", fs::remove_file(git.join("config")));
        inside.attempt("move hooks away", fs::rename(git.join("hooks"), git.join("hooks.old")));
        inside.attempt("move hooks over", fs::rename(ws.join("mine/hooks"), git.join("hooks")));
        inside.attempt("swap hooks", swap(&git.join("hooks"), &ws.join("mine/hooks")));
        inside.attempt("swap config", swap(&git.join("config"), &ws.join("mine/config")));
        inside.attempt("link config", fs::hard_link(git.join("config"), ws.join("second")));
        inside.attempt("move .git away", fs::rename(&git, repository.join(".gitold")));
        inside.attempt("swap .git", swap(&git, &ws.join("mine")));
        inside.attempt("remove .git", fs::remove_dir_all(git.join("hooks")));
    }
    inside.attempt("move sub", fs::rename(ws.join("sub"), ws.join("bus")));
    inside.attempt("move repo", fs::rename(ws.join("sub/repo"), ws.join("repo")));
    for (name, parent) in [
        (".vscode/tasks.json", ".vscode"),
        (".envrc", ".envrc"),
        (".github/workflows/ci.yml", ".github"),
        (".claude/settings.json", ".claude"),
    ] {
        inside.attempt("write", fs::write(ws.join(name), "mine"));
        inside.attempt("remove", fs::remove_file(ws.join(name)));
        inside.attempt("replace", fs::rename(ws.join("mine/config"), ws.join(name)));
        inside.attempt("move", fs::rename(ws.join(parent), ws.join("elsewhere")));
    }
    inside.attempt("add", fs::write(ws.join(".github/workflows/new.yml"), "mine"));
    Ok(())
}

fn swap(one: &Path, other: &Path) -> nix::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}
