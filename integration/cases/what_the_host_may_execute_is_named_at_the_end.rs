//! What the host may later execute can be made where it was not, and the end of the run names every
//! piece of it, in words and in the result.

use anyhow::{Context as _, Result, ensure};
use sandboxd_integration::{By, Case, Inside, Need, Outside};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

pub(crate) const CASE: Case = Case {
    rows: &["F18", "F30", "E5"],
    needs: &[Need::Program("/usr/bin/git")],
    outside,
    probes: &[("plant", plant)],
    by: By::Anybody,
    ..Case::NEW
};

/// Relative to the workspace, as the result names them.
const PLANTED: &[&str] = &[
    // A repository that was there: settings that were not.
    "old/.git/config.worktree",
    "old/.git/commondir",
    "old/.git/info/attributes",
    // A folder that another repository's settings and hooks are taken from.
    "pointed/.git",
    "linked/.git",
    "bare.git/config",
    "bare.git/hooks",
    ".vscode/tasks.json",
    ".claude/settings.json",
    ".envrc",
    ".github/workflows",
    "sub/deep/.mcp.json",
    "rust/.cargo/config.toml",
    "js/.yarn/releases",
    "js/.npmrc",
    "js/.pnpmfile.cjs",
    "java/.mvn",
    "c/.bazelrc",
    "c/.lldbinit",
    "repl/.irbrc",
    "repl/.pdbrc",
    ".helix",
    ".kiro",
    "opencode.json",
    ".lefthook.yml",
    ".forgejo/workflows",
    "jj/.jj/repo/config.toml",
    "workspace/.jj/repo",
    "node/.husky",
    "pipe/.envrc",
    "dangling/.envrc",
    "odd\nna\u{1b}[31mme/.envrc",
];

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    for file in ["config", "hooks/pre-commit", "HEAD"] {
        outside.file(&format!("ws/old/.git/{file}"), "")?;
    }
    outside.file("ws/old/.git/info/exclude", "")?;
    let fresh = outside
        .sandbox("extends = [\"builtin:coding-agent\"]\n")
        .cwd(&ws)
        .command(&[
            "/bin/sh",
            "-ec",
            "git init -q new && cd new && git status -s && git config a.b c",
        ])
        .run()?;
    fresh.exited(0)?;
    for name in ["new/.git/config", "new/.git/hooks"] {
        let path = ws.join(name).display().to_string();
        ensure!(fresh.stderr.lines().any(|line| line.trim() == path), "{name} is not named");
    }
    ensure!(fresh.stderr.contains("the host may execute"), "not in words");
    let run = outside
        .sandbox(&format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\n"))
        .probe("plant", &[ws.to_str().unwrap_or_default()])
        .run()?;
    run.ran()?;
    let result = run.result.as_ref().context("no result")?;
    let named = result["may_execute"].as_array().context("no may_execute")?;
    let missing: Vec<_> = PLANTED
        .iter()
        .filter(|name| {
            let path = ws.join(name).display().to_string();
            !named.iter().any(|entry| entry.as_str() == Some(&path))
        })
        .collect();
    ensure!(missing.is_empty(), "not named: {missing:?} in {named:?}");
    // What was held and what is no repository is not accused.
    for innocent in ["old/.git/config", "old/.git/hooks", "plain", "plain/config"] {
        let path = ws.join(innocent).display().to_string();
        ensure!(!named.iter().any(|entry| entry.as_str() == Some(&path)), "{innocent} is named");
    }
    // The words hold nothing that a terminal would obey, and each path stands on a line of its own.
    ensure!(!run.stderr.contains('\u{1b}'), "an escape of the probe's came out");
    let lines = run.stderr.lines().filter(|line| line.starts_with("  /")).count();
    ensure!(lines == named.len(), "{lines} lines for {} paths", named.len());
    what_could_not_be_changed_is_not_named(outside)
}

/// What is read, or hidden, in what is written; and what cannot be looked through is told as that.
fn what_could_not_be_changed_is_not_named(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?.join("nested");
    for file in ["read/.git/config", "read/.git/hooks/pre-commit", "hidden/.envrc"] {
        outside.file(&format!("ws/nested/{file}"), "")?;
    }
    let run = || {
        outside
            .sandbox(&format!(
                "extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nread = [{:?}]\nhide = [{:?}]\n",
                ws.join("read"),
                ws.join("hidden")
            ))
            .command(&["/bin/true"])
            .run()
    };
    let quiet = run()?;
    quiet.exited(0)?;
    ensure!(!quiet.stderr.contains("the host may execute"), "told: {}", quiet.stderr);
    let odd = ws.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&odd)?;
    let told = run()?;
    let lines: Vec<&str> =
        told.stderr.lines().filter(|line| line.contains("the host may execute")).collect();
    let [line] = lines.as_slice() else { anyhow::bail!("{lines:?}") };
    ensure!(line.contains("caf\\xe9") && line.ends_with("its name is not UTF-8"), "{line}");
    Ok(())
}

fn plant(inside: &Inside) -> Result<()> {
    let ws = inside.path(0)?;
    let file = |name: &str| -> Result<()> {
        let path = ws.join(name);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        Ok(fs::write(path, "x")?)
    };
    for name in [
        "old/.git/config.worktree",
        "old/.git/commondir",
        "old/.git/info/attributes",
        "pointed/.git",
        "bare.git/HEAD",
        "bare.git/config",
        "bare.git/hooks/pre-commit",
        "bare.git/objects/x",
        "bare.git/refs/x",
        ".vscode/tasks.json",
        ".claude/settings.json",
        ".envrc",
        ".github/workflows/ci.yml",
        "sub/deep/.mcp.json",
        "rust/.cargo/config.toml",
        "js/.yarn/releases/yarn.cjs",
        "js/.npmrc",
        "js/.pnpmfile.cjs",
        "java/.mvn/extensions.xml",
        "c/.bazelrc",
        "c/.lldbinit",
        "repl/.irbrc",
        "repl/.pdbrc",
        ".helix/languages.toml",
        ".kiro/settings/mcp.json",
        "opencode.json",
        ".lefthook.yml",
        ".forgejo/workflows/ci.yml",
        "jj/.jj/repo/config.toml",
        "workspace/.jj/repo",
        "node/.husky/pre-commit",
        "odd\nna\u{1b}[31mme/.envrc",
        "plain/config",
    ] {
        file(name)?;
    }
    for folder in ["linked", "pipe", "dangling"] {
        fs::create_dir(ws.join(folder))?;
    }
    symlink("../bare.git", ws.join("linked/.git"))?;
    symlink("nowhere", ws.join("dangling/.envrc"))?;
    nix::unistd::mkfifo(&ws.join("pipe/.envrc"), nix::sys::stat::Mode::S_IRWXU)?;
    inside.fact("planted", "all of it");
    Ok(())
}
