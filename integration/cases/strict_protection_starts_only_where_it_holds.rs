//! `protect = "strict"` starts only where everything that the host may execute can be held, and a
//! tree that cannot be searched whole is no such place.

use anyhow::{Result, ensure};
use nix::errno::Errno;
use sandboxd_integration::{By, Case, Inside, Outside};
use std::fs;
use std::os::unix::fs::symlink;

pub(crate) const CASE: Case = Case {
    rows: &["F15", "F18", "E5"],
    outside,
    probes: &[("plant", plant)],
    by: By::Anybody,
    ..Case::NEW
};

/// Folders below one another, more than are searched.
const DEEP: usize = 70;

fn outside(outside: &Outside) -> Result<()> {
    let ws = outside.workspace()?;
    let config = outside.file("ws/.git/config", "")?;
    let profile = |protect: &str| {
        format!("extends = [\"builtin:base\"]\n[files]\nwrite = [{ws:?}]\nprotect = {protect}\n")
    };
    let words = [ws.to_str().unwrap_or_default()];
    let strict = |profile: &str| outside.sandbox(profile).probe("plant", &words).run();

    // No hooks: they could be planted.
    strict(&profile("\"strict\""))?.has_problem(&["profile.toml:", ".git/hooks", "planted"])?;
    ensure!(!ws.join(".git/hooks").exists(), "made in the user's tree");
    let hook = outside.file("ws/.git/hooks/pre-commit", "")?;
    // Git takes both from where this says.
    strict(&profile("\"strict\""))?.has_problem(&[".git/commondir", "planted"])?;
    outside.file("ws/.git/commondir", ".\n")?;
    // A link: what it leads to can be swapped.
    symlink("elsewhere", ws.join(".envrc"))?;
    strict(&profile("\"strict\""))?.has_problem(&["profile.toml:", ".envrc", "link"])?;
    fs::remove_file(ws.join(".envrc"))?;
    // A second name, by which it can be written: held by one of them only, and so told at the end.
    fs::hard_link(&hook, ws.join("second"))?;
    strict(&profile("\"strict\""))?.has_problem(&["profile.toml:", ".git/hooks", "hard links"])?;
    let run = strict(&profile("\"default\""))?;
    run.ran()?.refused("hook", &[Errno::EROFS])?;
    let named = ws.join(".git/hooks").display().to_string();
    ensure!(run.stderr.lines().any(|line| line.trim() == named), "not named: {}", run.stderr);
    fs::remove_file(ws.join("second"))?;
    // At whatever depth.
    let action = outside.file("ws/.github/actions/lint/action.yml", "")?;
    fs::hard_link(&action, ws.join("second.yml"))?;
    strict(&profile("\"strict\""))?.has_problem(&[".github/actions", "hard links"])?;
    let run = strict(&profile("\"default\""))?;
    let named = ws.join(".github/actions").display().to_string();
    ensure!(run.stderr.lines().any(|line| line.trim() == named), "not named: {}", run.stderr);
    fs::remove_file(ws.join("second.yml"))?;
    // A tree too deep to be searched.
    let deep = ws.join(vec!["z"; DEEP].join("/"));
    fs::create_dir_all(&deep)?;
    strict(&profile("\"strict\""))?.has_problem(&["profile.toml:", "searched"])?;
    // By default it starts, holds what there is all the same, and says that it did not see all.
    let run = strict(&profile("\"default\""))?;
    for attempt in ["config", "hook", "new hook"] {
        run.ran()?.refused(attempt, &[Errno::EROFS])?;
    }
    ensure!(run.stderr.contains("not looked through"), "not told: {}", run.stderr);
    fs::remove_dir_all(ws.join("z"))?;

    let run = strict(&profile("\"strict\""))?;
    for attempt in ["config", "hook", "new hook"] {
        run.ran()?.refused(attempt, &[Errno::EROFS])?;
    }
    ensure!(fs::read(&config)?.is_empty() && fs::read(&hook)?.is_empty(), "written");
    // Off needs a reason, and then is off: so that the above was strict's doing.
    strict(&profile("\"off\""))?.has_problem(&["profile.toml:", "reason"])?;
    strict(&profile("{ off = \"a test\" }"))?.ran()?.allowed("config")?.allowed("new hook")?;
    Ok(())
}

fn plant(inside: &Inside) -> Result<()> {
    let git = inside.path(0)?.join(".git");
    inside.attempt("config", fs::write(git.join("config"), "mine"));
    inside.attempt("hook", fs::write(git.join("hooks/pre-commit"), "mine"));
    inside.attempt("new hook", fs::write(git.join("hooks/post-commit"), "mine"));
    Ok(())
}
